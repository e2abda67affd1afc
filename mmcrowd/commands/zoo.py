"""``mmcrowd zoo``: the models of the package."""

import argparse

from mmcrowd.apis.zoo import DEFAULT, find_entry, list_models

HELP = 'list models, tell about one, or print where its weights are'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    listing = actions.add_parser('list', help='names of the models with weights')
    listing.add_argument('pattern', nargs='?', default='*', help='such as "pml_*"; default: all')
    listing.add_argument('--all', action='store_true', help='those without weights, too')
    for name, text in (
        ('info', 'what is known of a model'),
        ('path', 'the file of its weights, downloaded if it is not here'),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument('name', nargs='?', default=DEFAULT, help=f'default: {DEFAULT}')


def run(args: argparse.Namespace) -> None:
    if args.action == 'list':
        names = list_models(args.pattern, with_weights=not args.all)
        if not names:
            which, hint = 'model', ''
            if not args.all:
                which, hint = 'model with weights', '`--all` lists those without, too, and '
            raise ValueError(
                f'no {which} matches {args.pattern!r}: {hint}`*` stands for any letters, as in '
                '"pml_*"'
            )
        for name in names:
            entry = find_entry(name)
            aliases = f'  ({", ".join(entry.aliases)})' if entry.aliases else ''
            print(f'{name}{aliases}')
        return
    entry = find_entry(args.name)
    if args.action == 'path':
        if not entry.weights:
            raise ValueError(
                f'{entry.name} comes without weights: `mmcrowd zoo list` has the models that come '
                'with them'
            )
        print(entry.fetch())
        return
    print(f'name:     {entry.name}')
    print(f'aliases:  {", ".join(entry.aliases) or "none"}')
    print(f'config:   {entry.config}')
    print(f'weights:  {", ".join(entry.weights) or "none"}')
    print(f'sha256:   {entry.sha256 or "none"}')
    for key, value in entry.metadata.items():
        print(f'{key}: {value}')
    source = 'of these weights' if entry.weights else 'of the paper'
    for result in entry.results:
        metrics = ', '.join(f'{key} {value:g}' for key, value in result.get('Metrics', {}).items())
        print(f'errors {source}: {result["Dataset"]}: {metrics or "unknown"}')
