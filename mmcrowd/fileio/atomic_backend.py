from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmcrowd.fileio.files import write_atomic


@register_backend('mmcrowd.atomic')
class AtomicBackend(LocalBackend):
    """Files on this machine that are written whole or not at all, and are then on the disk.

    MMEngine's ``local`` backend writes in place: a process that is killed leaves half a file. Use
    it as ``backend_args=dict(backend='mmcrowd.atomic')``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes, see :func:`~mmcrowd.fileio.files.write_atomic`."""
        write_atomic(filepath, obj, sync=True)
