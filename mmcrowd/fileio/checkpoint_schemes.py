"""The ways in which MMEngine finds a checkpoint, each with a reader that runs no code in it.

MMEngine reads whatever ``load_from``, ``resume``, ``init_cfg`` and its inferencers name by pickle,
which runs any code that the file holds. It keeps its readers in a table by the form of the name, so
these here take their places.
"""

import io
from pathlib import Path
from typing import Any

from mmcrowd.fileio.checkpoints import download_checkpoint, read_checkpoint


def register_safe_readers() -> None:
    """Let MMEngine read checkpoints by :func:`~mmcrowd.fileio.checkpoints.read_checkpoint`.

    This holds for the whole process, and so for the checkpoints of other OpenMMLab projects in it.
    :mod:`mmcrowd.safe_loading` calls it as soon as MMEngine's readers are loaded.
    """
    from mmengine.runner.checkpoint import CheckpointLoader

    for prefixes, reader in (
        ('', load_from_local),
        (['http://', 'https://'], load_from_http),
        ([r'(\S+\:)?s3://', r'(\S+\:)?petrel://'], load_from_ceph),
        (['modelzoo://', 'torchvision://'], load_from_torchvision),
        (['open-mmlab://', 'openmmlab://'], load_from_openmmlab),
        ('mmcls://', load_from_mmcls),
        ('pavi://', load_from_pavi),
    ):
        CheckpointLoader.register_scheme(prefixes, reader, force=True)


# MMEngine logs the names of these functions without their first ten letters.


def load_from_local(filename: str, map_location: Any = None) -> dict:
    return read_checkpoint(filename, map_location)


def load_from_http(filename: str, map_location: Any = None) -> dict:
    from mmengine.dist import barrier, get_rank

    # One process downloads; on a machine with a disk of its own each looks again.
    if get_rank() == 0:
        download_checkpoint(filename)
    barrier()
    return read_checkpoint(download_checkpoint(filename), map_location)


def load_from_ceph(filename: str, map_location: Any = None, backend: str = 'petrel') -> dict:
    from mmengine.fileio import get

    content = io.BytesIO(get(filename, backend_args=dict(backend=backend)))
    content.name = filename  # type: ignore[misc]
    return read_checkpoint(content, map_location)


def load_from_torchvision(filename: str, map_location: Any = None) -> dict:
    from mmengine.runner.checkpoint import get_torchvision_models

    return _load_named(filename, get_torchvision_models(), map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict:
    from mmengine.runner.checkpoint import get_deprecated_model_names, get_external_models

    models = get_external_models()
    renamed = {old: models[new] for old, new in get_deprecated_model_names().items()}
    return _load_named(filename, models | renamed, map_location)


def load_from_mmcls(filename: str, map_location: Any = None) -> dict:
    from mmengine.runner.checkpoint import _process_mmcls_checkpoint, get_mmcls_models

    return _process_mmcls_checkpoint(_load_named(filename, get_mmcls_models(), map_location))


def load_from_pavi(filename: str, map_location: Any = None) -> dict:
    raise ValueError(f'{filename}: pavi:// is not read by mmcrowd; download the file')


def _load_named(filename: str, models: dict[str, str], map_location: Any) -> dict:
    """Read the checkpoint that has a name in a table of addresses."""
    from mmengine.runner.checkpoint import _get_mmengine_home

    name = filename.partition('://')[2]
    if name not in models:
        raise ValueError(f'{filename}: MMEngine knows no model {name!r}')
    where = models[name]
    if where.startswith(('http://', 'https://')):
        return load_from_http(where, map_location)
    return read_checkpoint(Path(_get_mmengine_home(), where), map_location)
