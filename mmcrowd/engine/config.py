"""How configs are read: by the tools, and wherever else the same rules should hold."""

import ast
import contextlib
import inspect
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmcrowd.datasets.wrappers import iter_datasets

# The loaders of a config, in the order of a run.
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')

PACKAGE = Path(__file__).resolve().parents[1]

# Environment variables that configs take a folder from.
ROOTS = ('MMCROWD_DATA_ROOT', 'MMCROWD_CUSTOM_ROOT')

# Stands for an environment variable in MMEngine's form, in the text and in a string of it.
BY_VARIABLE = '0x7A7A7A'

# What a config may have beside the arguments of the runner: MMEngine or a tool looks for it.
OTHER_KEYS = {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
}


def read_config(
    path: str | Path, options: Mapping[str, Any] | None = None, data_root: str | None = None
) -> Config:
    """Read a config file and lay the command line over it.

    Beyond ``Config.fromfile``:

    - The folders in ``MMCROWD_DATA_ROOT`` and ``MMCROWD_CUSTOM_ROOT`` may have any name, with
      backslashes and quotes, which MMEngine would paste into Python. An empty one counts as unset.
    - A variable of a file, such as ``fold = 0`` of which its dicts are made, changes nothing when
      an option or an inheriting file sets it later. That is an error, which names the keys that
      do.
    - Whatever is wrong with the file is one error that names the file and, if known, the line.

    Args:
        path: Config file, or the name of one of ours, see :func:`find_config`.
        options: Values by dotted key, of ``--cfg-options``.
        data_root: Folder for all datasets instead of those in the config. Defaults to None.

    Raises:
        FileNotFoundError: If the file or one that it inherits from is missing.
        ValueError: If the file cannot be read or run, an option does not fit it, or something that
            is set reaches nothing.
    """
    file = _read_file(find_config(path))
    cfg = _load(file)
    known = _known_keys(cfg)
    _check_files(file, cfg, known)
    if options:
        _check_options(options, file, cfg, known)
        try:
            cfg.merge_from_dict(dict(options))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f'{path}: --cfg-options do not fit: {_message(error)}') from error
    if data_root:
        set_data_root(cfg, data_root)
    return cfg


@contextlib.contextmanager
def no_notices() -> Iterator[None]:
    """Context in which MMEngine does not tell which variables a config has from outside."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def find_config(path: str | Path) -> Path:
    """The file of a config that is given by its path or, one of this package, by its name.

    Args:
        path: A path, or ``mmcrowd::NAME``, where NAME is the path below ``configs/``, with or
            without ``.py``: ``mmcrowd::pml_hrnet_qnrf``, ``mmcrowd::bl/bl_vgg19_sha``. An installed
            package has its configs with it, a checkout has them beside the package.

    Raises:
        FileNotFoundError: If there is no config of this name.
        ValueError: For the name of another package.
    """
    package, colons, name = str(path).partition('::')
    if not colons:
        return Path(path).expanduser()
    if package != 'mmcrowd':
        raise ValueError(f'{path}: expected a path or mmcrowd::NAME')
    for folder in _bundled('configs'):
        file = folder / (name if name.endswith('.py') else f'{name}.py')
        if file.is_file():
            return file
    raise FileNotFoundError(f'no config {path}: there is no {name}.py in {_bundled("configs")[0]}')


def public_name(config: str) -> str:
    """What a config is called on every machine: ``mmcrowd::NAME``, or of others the file name."""
    file, ours = find_config(config).resolve(), bundled('configs').resolve()
    if file.is_relative_to(ours):
        return f'mmcrowd::{file.relative_to(ours).with_suffix("").as_posix()}'
    return file.name


def bundled(name: str) -> Path:
    """A folder that comes with the package: ``'configs'`` or ``'tools'``.

    Raises:
        FileNotFoundError: If neither the installation nor the checkout has it.
    """
    for folder in _bundled(name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f'no folder {name} in {PACKAGE}/.mim, nor beside {PACKAGE}')


def _bundled(name: str) -> tuple[Path, Path]:
    """Where an installed package has a folder, and where a checkout has it."""
    return PACKAGE / '.mim' / name, PACKAGE.parent / name


# --------------------------------------------------------------------- the datasets of a config


def iter_loader_datasets(cfg: Config) -> Iterator[tuple[str, ConfigDict]]:
    """Every dataset that the loaders of a config read; a wrapper comes before what is in it.

    Yields:
        Its dotted key and its dict.

    Examples:
        >>> inner = dict(type='UCFQNRFDataset')
        >>> repeated = dict(type='RepeatDataset', times=2, dataset=inner)
        >>> cfg = Config(dict(train_dataloader=dict(dataset=repeated), val_dataloader=None))
        >>> [key for key, _ in iter_loader_datasets(cfg)]
        ['train_dataloader.dataset', 'train_dataloader.dataset.dataset']
    """
    for loader in LOADERS:
        if cfg.get(loader):
            yield from iter_datasets(cfg[loader].dataset, f'{loader}.dataset')


def set_data_root(cfg: Config, data_root: str) -> None:
    """Let all datasets of a config read one folder, in place.

    Datasets inside wrappers (repeat, concatenate) get it too; those that take no ``data_root`` in
    the config, such as drawn ones, do not.

    Raises:
        ValueError: If there is no dataset with a ``data_root``.
    """
    found = [dataset for _, dataset in iter_loader_datasets(cfg) if 'data_root' in dataset]
    for dataset in found:
        dataset.data_root = data_root
    if not found:
        raise ValueError(f'data_root={data_root!r}: no dataset of {cfg.filename} takes one')


def without_pretraining(model: ConfigDict) -> ConfigDict:
    """The config of a model whose parts load no weights when they are built.

    A backbone of timm with ``pretrained=True`` does; ``init_cfg`` is another matter, MMEngine loads
    it when the model is initialised.

    Returns:
        A copy with ``pretrained=False`` wherever there was a true ``pretrained``.

    Examples:
        >>> model = ConfigDict(backbone=dict(type='TIMMBackbone', pretrained=True), neck=None)
        >>> without_pretraining(model)
        {'backbone': {'type': 'TIMMBackbone', 'pretrained': False}, 'neck': None}
    """
    return ConfigDict(
        {
            key: False
            if key == 'pretrained' and value
            else without_pretraining(value)
            if isinstance(value, dict)
            else value
            for key, value in model.items()
        }
    )


# ------------------------------------------------------------------------------------- reading


class _File(NamedTuple):
    """A config file by its text.

    Attributes:
        path: The file.
        assigned: Names that it gives a value, anywhere in it.
        read: Names whose value it uses, other than to change it in place.
        read_of_bases: Names that it uses as ``_base_.NAME``.
        bases: Files that it inherits from.
    """

    path: Path
    assigned: set[str]
    read: set[str]
    read_of_bases: set[str]
    bases: list['_File']

    def chain(self) -> Iterator['_File']:
        """The file and all that it inherits from."""
        yield self
        for base in self.bases:
            yield from base.chain()


def _read_file(path: Path, heir: Path | None = None) -> _File:
    if not path.is_file():
        raise FileNotFoundError(
            f'no config file {path}' if heir is None else f'{heir}: there is no {path} to inherit'
        )
    file = _File(path, set(), set(), set(), [])
    if path.suffix != '.py':  # others have no variables to use
        return file
    try:
        text = path.read_text(encoding='utf-8')
        # An environment variable in MMEngine's form is no Python before it is replaced.
        tree = ast.parse(re.sub(r'\{\{\s*\$.*?\}\}', BY_VARIABLE, text))
    except SyntaxError as error:
        raise ValueError(f'{path}, line {error.lineno}: {error.msg}') from None
    except ValueError as error:
        raise ValueError(f'{path}: no Python in UTF-8 ({error})') from None
    changed_in_place = {id(name) for node in ast.walk(tree) for name in _changed(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if id(node) not in changed_in_place:
                file.read.add(node.id)
        elif isinstance(node, ast.Name):
            file.assigned.add(node.id)
        elif isinstance(node, ast.Attribute) and _is_base(node.value):
            file.read_of_bases.add(node.attr)
        elif isinstance(node, ast.Subscript) and _is_base(node.value):
            file.read_of_bases.add(str(getattr(node.slice, 'value', '')))
    file.read_of_bases.update(re.findall(r'\{\{\s*_base_\.(\w+)', text))
    for base in _bases(tree):
        # Others are of another library, or named by a variable that MMEngine replaces.
        if not any(mark in base for mark in ('::', '{{', BY_VARIABLE)):
            file.bases.append(_read_file(path.parent / base, heir=path))
    return file


def _is_base(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == '_base_'


def _changed(node: ast.AST) -> Iterator[ast.Name]:
    """Names whose value a statement changes in place, such as ``a`` in ``a[0].b = 1``."""
    targets = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]  # a.insert(...)
    for target in targets:
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            yield target


def _bases(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and _is_base(node.targets[0]):
            try:
                bases = ast.literal_eval(node.value)
            except ValueError:  # computed, left to MMEngine
                return []
            return [bases] if isinstance(bases, str) else list(bases)
    return []


def _load(file: _File) -> Config:
    with _safe_roots():
        try:
            return Config.fromfile(file.path)
        except Exception as error:
            where = str(file.path)
            paths = {str(each.path.resolve()) for each in file.chain()}
            for frame in traceback.extract_tb(error.__traceback__):
                if os.path.realpath(frame.filename) in paths:
                    where = f'{frame.filename}, line {frame.lineno}'
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
            raise kind(f'{where}: {type(error).__name__}: {_message(error)}') from error


def _message(error: Exception) -> str:
    # The text of a KeyError is the repr of its message.
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


@contextlib.contextmanager
def _safe_roots() -> Iterator[None]:
    """Folders in the environment as MMEngine can paste them into a string of a config."""
    given = {name: os.environ.pop(name) for name in ROOTS if name in os.environ}
    try:
        for name, folder in given.items():
            if folder:
                os.environ[name] = _quoted(folder)
        yield
    finally:
        for name in ROOTS:
            os.environ.pop(name, None)
        os.environ.update(given)


def _quoted(folder: str) -> str:
    if sys.platform == 'win32':
        folder = PurePath(folder).as_posix()
    # Twice: for the string in the file, and for the regular expression that puts it there.
    # Control characters and what UTF-8 cannot encode, in names of files, as Python's escapes.
    in_string = ''.join(
        f'\\{char}' if char in '\\\'"' else char if char.isprintable() else _escape(char)
        for char in folder
    )
    return in_string.replace('\\', '\\\\')


def _escape(char: str) -> str:
    return f'\\U{ord(char):08x}'


# ------------------------------------------------------------------------ what reaches nothing


def _known_keys(cfg: Config) -> set[str]:
    runner = RUNNERS.get(cfg.runner_type) if 'runner_type' in cfg else Runner
    return {*inspect.signature(runner or Runner).parameters, *OTHER_KEYS}


def _check_files(file: _File, cfg: Config, known: set[str], later: tuple[_File, ...] = ()) -> None:
    """Make sure that what a file sets again is used, by it or by those that inherit from it."""
    ancestors = [each for base in file.bases for each in base.chain()]
    for name in sorted(file.assigned - file.read - known):
        if any(name in heir.assigned | heir.read_of_bases for heir in later):
            continue
        users = [each for each in ancestors if name in each.read | each.read_of_bases]
        if not users:
            continue
        given = [base[name] for base in map(_load, file.bases) if name in base]
        if given and cfg[name] not in given:
            raise ValueError(
                f'{file.path}: {name} is set, but changes nothing, because {users[0].path} has '
                f'made its dicts of {name} already' + _advice(cfg, known, name, given[0])
            )
    for base in file.bases:
        _check_files(base, cfg, known, (*later, file))


def _check_options(options: Mapping[str, Any], file: _File, cfg: Config, known: set[str]) -> None:
    for option in options:
        name, _, inner = option.partition('.')
        if name in known:
            continue
        users = [each for each in file.chain() if name in each.read | each.read_of_bases]
        if users:
            reason = f'{users[0].path} has made its dicts of {name} already'
        elif name in cfg:  # for code that looks for it in the config
            continue
        else:
            reason = f'the runner has no such key, nor has {file.path}'
        raise ValueError(
            f'--cfg-options {option} changes nothing, because {reason}'
            + _advice(cfg, known, inner.rpartition('.')[2] or name, cfg.get(option))
        )


def _advice(cfg: Config, known: set[str], name: str, value: Any = None) -> str:
    """Which keys may be meant: those of the same name, or else those that have its value."""
    leaves = [leaf for key in cfg if key in known for leaf in _leaves(cfg[key], key)]
    keys = [key for key, _ in leaves if key.rpartition('.')[2] == name]
    if keys:
        return f'; keys of this name that are used: {", ".join(keys)}'
    keys = [key for key, other in leaves if other == value]
    if keys and isinstance(value, str | list | tuple):  # numbers may be equal by chance
        return f'; keys that have its value: {", ".join(keys)}'
    return ''


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value at or below a key, with its dotted key."""
    yield key, value
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = enumerate(value)
    else:
        return
    for name, child in children:
        yield from _leaves(child, f'{key}.{name}')
