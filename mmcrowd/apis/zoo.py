"""The models of the package: every config by its name, and those that come with weights.

The list is that of ``model-index.yml`` and the metafiles that it names. An entry with weights has

- ``Weights``: where the file is, in the order in which it is tried: paths that begin with
  ``mmcrowd/`` are files of the package, the others URLs;
- ``SHA256``: digits of that file;
- ``Alias``: other names of the model;
- ``Results``: test errors of this file. Without weights they are those of the paper.
"""

import difflib
import fnmatch
import functools
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlparse

import yaml

from mmcrowd.engine.config import PACKAGE, bundled
from mmcrowd.fileio.checkpoints import fetch_weights, find_local_weights

DEFAULT = 'default'  # alias of the model that is taken where none is named


class ZooEntry(NamedTuple):
    """A model of the package.

    Attributes:
        name: Its name, that of its config.
        aliases: Other names.
        config: ``mmcrowd::...``, see :func:`~mmcrowd.engine.config.find_config`.
        weights: Paths and URLs of one file, in the order in which they are tried; none if the model
            comes without weights.
        sha256: Digits of this file; None without weights.
        metadata: What is known of its training.
        results: ``Dataset`` and ``Metrics`` of each test.
    """

    name: str
    aliases: tuple[str, ...]
    config: str
    weights: tuple[str, ...]
    sha256: str | None
    metadata: Mapping[str, Any]
    results: tuple[Mapping[str, Any], ...]

    def test_errors(self) -> str:
        """Test MAE of the weights, such as ``'test MAE 9.1 on ShanghaiTech B'``."""
        errors = [
            f'{result["Metrics"]["MAE"]:g} on {result["Dataset"]}'
            for result in self.results
            if 'MAE' in result.get('Metrics', {})
        ]
        if not self.weights or not errors:
            return 'test MAE unknown'
        return f'test MAE {", ".join(errors)}'

    def fetch(self) -> Path:
        """The file of the weights, downloaded if it is not on this machine.

        Raises:
            FileNotFoundError: The model comes without weights, or they cannot be had.
            ValueError: A file has another sha256.
        """
        if not self.weights:
            raise FileNotFoundError(
                f'{self.name} comes without weights: name a checkpoint by `weights` (--weights)'
            )
        return fetch_weights(self.file_name, self._mirrors(), self.sha256)

    @property
    def is_here(self) -> bool:
        """Whether the weights are on this machine."""
        if not self.weights:
            return False
        return find_local_weights(self.file_name, self._mirrors(), self.sha256) is not None

    def _mirrors(self) -> list[str | Path]:
        return [
            mirror if '://' in mirror else PACKAGE.parent / PurePosixPath(mirror)
            for mirror in self.weights
        ]

    @property
    def file_name(self) -> str:
        """Name of the file of the weights."""
        return PurePosixPath(urlparse(self.weights[0]).path).name


def list_models(pattern: str = '*', with_weights: bool = False) -> list[str]:
    """Names of the models of the package.

    Args:
        pattern: Pattern of the names, as of files. Defaults to ``'*'``.
        with_weights: Only those that come with weights. Defaults to False.

    Returns:
        Names, in alphabetical order.

    Examples:
        >>> list_models('pml_hrnet_*')[:2]
        ['pml_hrnet_jhu', 'pml_hrnet_nwpu']
    """
    entries = read_zoo().values()
    return sorted(
        entry.name
        for entry in entries
        if fnmatch.fnmatchcase(entry.name, pattern) and (entry.weights or not with_weights)
    )


def find_entry(name: str) -> ZooEntry:
    """The model of this name or alias, in whatever case.

    Raises:
        ValueError: There is none.
    """
    by_name = {
        word.lower(): entry
        for entry in read_zoo().values()
        for word in (entry.name, *entry.aliases)
    }
    if name.lower() not in by_name:
        close = difflib.get_close_matches(name.lower(), by_name, 3)
        hint = (
            f'did you mean {" or ".join(close)}?' if close else '`mmcrowd zoo list --all` has all'
        )
        raise ValueError(
            f'no model {name!r}: neither a config file, nor mmcrowd::NAME, nor a model of the zoo; '
            f'{hint}'
        )
    return by_name[name.lower()]


def config_of(text: str) -> str:
    """What :func:`~mmcrowd.engine.config.read_config` takes for a model that is given by its name.

    Args:
        text: Path of a config, ``mmcrowd::NAME``, or name or alias in the zoo.

    Raises:
        ValueError: It is a bare name, and there is no such model.

    Examples:
        >>> config_of('bl_vgg19_sha'), config_of('mine.py')
        ('mmcrowd::bl/bl_vgg19_sha', 'mine.py')
    """
    is_name = '::' not in text and not Path(text).suffix and not Path(text).exists()
    return find_entry(text).config if is_name else text


@functools.cache
def read_zoo() -> dict[str, ZooEntry]:
    """All models of the package by name."""
    root = bundled('configs').parent
    entries = {}
    for metafile in _read_yaml(root / 'model-index.yml')['Import']:
        for model in _read_yaml(root / metafile)['Models']:
            config = PurePosixPath(model['Config'])
            aliases = model.get('Alias', ())
            weights = model.get('Weights') or ()
            entries[model['Name']] = ZooEntry(
                name=model['Name'],
                aliases=(aliases,) if isinstance(aliases, str) else tuple(aliases),
                config=f'mmcrowd::{config.relative_to("configs").with_suffix("")}',
                weights=(weights,) if isinstance(weights, str) else tuple(weights),
                sha256=model.get('SHA256'),
                metadata=model.get('Metadata', {}),
                results=tuple(model.get('Results', ())),
            )
    return entries


def _read_yaml(path: Path) -> Any:
    # The parser in C, where there is one, is ten times faster.
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    return yaml.load(path.read_text(encoding='utf-8'), loader)
