"""Arguments that several commands have, and the counter that they stand for."""

import argparse

from mmengine.config import DictAction

from mmcrowd.apis.inferencer import MAX_PIXELS, CrowdInferencer
from mmcrowd.apis.zoo import DEFAULT
from mmcrowd.fileio.files import printable


def add_model(parser: argparse.ArgumentParser, what: str = '') -> None:
    """Add ``--model``, ``--weights`` and ``--cfg-options``; ``what`` stands before the help of the
    first."""
    parser.add_argument(
        '--model',
        help=f'{what}name in the zoo, mmcrowd::NAME or config file; default: the model that '
        f'--weights name, or {DEFAULT}',
    )
    parser.add_argument(
        '--weights', help='checkpoint, URL, name in the zoo, or NAME.onnx of `mmcrowd export`'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        metavar='KEY=VALUE',
        help='change the config of the model, such as model.inference.crop_size=1024',
    )


class _Options(DictAction):
    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for value in values:
            if '=' not in value:
                parser.error(f'{option_string} {value}: expected KEY=VALUE')
        super().__call__(parser, namespace, values, option_string)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device`` and ``--precision``."""
    parser.add_argument('--device', help='such as cuda:0 or cpu; default: an accelerator, if any')
    parser.add_argument('--precision', choices=('fp32', 'bf16', 'auto'), default='fp32')


def add_counting(parser: argparse.ArgumentParser, images: str) -> None:
    """Add how ``images`` are counted: model, device, points, batches, sizes and zones."""
    add_model(parser)
    parser.add_argument('--localizer', help='such as LocalMaximum; default: OTMinimization')
    add_device(parser)
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--max-pixels', type=int, default=MAX_PIXELS, help=f'reduce larger {images}'
    )
    parser.add_argument('--zones', help='JSON file of zones, which are counted too')


def counter_of(args: argparse.Namespace, show_progress: bool) -> CrowdInferencer:
    """The counter that the arguments of :func:`add_counting` ask for."""
    return CrowdInferencer(
        args.model,
        args.weights,
        args.device,
        args.precision,
        args.localizer,
        show_progress=show_progress,
        cfg_options=args.cfg_options,
    )


def counts_text(prediction: dict) -> str:
    """The count of a prediction, and those of its zones, as they are printed."""
    zones = ''.join(
        f', {printable(zone["name"])} {zone["count"]:.1f}' for zone in prediction.get('zones', [])
    )
    return f'count {prediction["count"]:.1f}{zones}'
