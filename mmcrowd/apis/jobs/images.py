"""Millions of images in folders, lists, patterns and archives, found one by one."""

import glob
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from lzma import LZMAError
from pathlib import PurePath
from typing import NamedTuple

from mmcrowd.apis.inputs import IMAGE_ENDINGS, is_url
from mmcrowd.fileio.files import is_hidden

TAR_ENDINGS = ('.tar', '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz')
# What reading a damaged archive raises.
_DAMAGE = (OSError, EOFError, tarfile.TarError, zlib.error, LZMAError)


class ImageFile(NamedTuple):
    """An image that is a file.

    Attributes:
        path: Its path below the root, with ``/``.
        file: Its path.
    """

    path: str
    file: str
    member: None = None

    def version(self) -> tuple[int, int | None]:
        """Size in bytes, and time of modification in nanoseconds.

        Raises:
            OSError: It is not there.
            ValueError: It is no file, but a pipe, say.
        """
        status = os.stat(self.file)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f'{self.file}: not a regular file')
        return status.st_size, status.st_mtime_ns

    def source(self) -> str:
        """What :class:`~mmcrowd.apis.inputs.Photo` calls the source of the pixels."""
        return self.file

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return self.file


class TarMember(NamedTuple):
    """An image in an archive; it can be read until the next one is asked for.

    Attributes:
        path: Path of the archive below the root, with ``/``.
        member: Name in the archive.
        file: Path of the archive.
        tar: The open archive.
        info: Where the member is in it.
    """

    path: str
    member: str
    file: str
    tar: tarfile.TarFile
    info: tarfile.TarInfo

    def version(self) -> tuple[int, int | None]:
        """Size in bytes, and None: the same image packed again is the same."""
        return self.info.size, None

    def source(self) -> bytes:
        """The content.

        Raises:
            ValueError: The archive is damaged.
        """
        try:
            file = self.tar.extractfile(self.info)
            assert file is not None  # it is a regular file
            return file.read()
        except _DAMAGE as error:
            raise ValueError(f'{self.label}: the archive is damaged ({error})') from error

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f'{self.file}/{self.member}'


class Unreadable(NamedTuple):
    """A folder, archive or list whose images are not all known.

    Attributes:
        path: Its path below the root, with ``/``.
        file: Its path.
        error: What is wrong.
    """

    path: str
    file: str
    error: str
    member: None = None

    def version(self) -> tuple[int, int | None]:
        """Size and time of modification, as of a file."""
        status = os.stat(self.file)
        return status.st_size, status.st_mtime_ns

    def source(self) -> bytes:
        """Raise a ValueError that says what is wrong."""
        raise ValueError(self.error)

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return self.file


JobImage = ImageFile | TarMember | Unreadable


class JobImages:
    """The images that a job stands for; no list of them is made.

    An input is a folder, with all of its subfolders, a pattern such as ``'photos/**/*.jpg'``, a tar
    archive or an image. In memory are the entries of no folder, and one name of each list;
    for a pattern, what :func:`glob.iglob` needs, the names in one folder. The order is that of the
    file system.

    - Hidden files and folders are left out, see :func:`~mmcrowd.fileio.files.is_hidden`.
    - A folder gives its files with the ending of an image, and the images in its archives.
    - Links to folders are followed unless they lead to a folder that they are in. An image that
      can be reached by two paths is two images.
    - In an archive only regular members count, no links.
    - The same path may be given more than once; whoever counts looks at keys.

    Args:
        inputs: Folders, patterns, archives, images.
        lists: Text files with a path in each line, of an image or an archive; relative ones begin
            at ``root`` if it is given, and in the folder of the list otherwise.
        root: Folder that the paths of images are told from. Defaults to None: the folder that is
            the only input, or the one that all inputs and lists are in. What is not below it keeps
            its absolute path.

    Raises:
        FileNotFoundError: There is no such input, list or root.
        ValueError: There is no input, or it is a URL.
    """

    def __init__(
        self,
        inputs: Sequence[str | os.PathLike],
        lists: Sequence[str | os.PathLike] = (),
        root: str | os.PathLike | None = None,
    ):
        self.inputs = [os.fspath(each) for each in inputs]
        self.lists = [os.fspath(each) for each in lists]
        if not self.inputs and not self.lists:
            raise ValueError('no images: name a folder, a pattern, an archive or a list')
        for each in self.inputs:
            if is_url(each):
                raise ValueError(f'{each}: a job counts files; download it first')
            if not os.path.lexists(each) and not glob.has_magic(each):
                raise FileNotFoundError(f'no image, folder or archive {each}')
        for each in self.lists:
            if not os.path.isfile(each):
                raise FileNotFoundError(f'no list {each}')
        if root is not None and not os.path.isdir(root):
            raise FileNotFoundError(f'no folder {root}')
        self.has_root = root is not None
        self.root = self._common_folder() if root is None else os.path.abspath(root)

    def _common_folder(self) -> str:
        folders = [os.path.dirname(os.path.abspath(each)) for each in self.lists]
        for each in self.inputs:
            if not os.path.lexists(each):
                while glob.has_magic(each):  # of a pattern, what is before its first special sign
                    each = os.path.dirname(each)
            elif not os.path.isdir(each):
                each = os.path.dirname(os.path.abspath(each))
            folders.append(os.path.abspath(each))
        return os.path.commonpath(folders)

    def __iter__(self) -> Iterator[JobImage]:
        for each in self.inputs:
            if not os.path.lexists(each):
                for match in glob.iglob(each, recursive=True):
                    if _is_wanted(os.path.basename(match)) and not os.path.isdir(match):
                        yield from self._of_file(os.path.abspath(match))
            elif os.path.isdir(each):
                yield from self._of_folder(os.path.abspath(each), ())
            else:
                yield from self._of_file(os.path.abspath(each))
        for each in self.lists:
            yield from self._of_list(os.path.abspath(each))

    def _of_folder(self, folder: str, above: tuple[str, ...]) -> Iterator[JobImage]:
        above = (*above, os.path.realpath(folder))
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_hidden(entry.name):
                        continue
                    if _is_folder(entry):
                        if os.path.realpath(entry.path) not in above:
                            yield from self._of_folder(entry.path, above)
                    elif _is_wanted(entry.name):
                        yield from self._of_file(entry.path)
        except OSError as error:
            yield Unreadable(self._below_root(folder), folder, f'{folder}: {error.strerror}')

    def _of_list(self, path: str) -> Iterator[JobImage]:
        start = self.root if self.has_root else os.path.dirname(path)
        try:
            with open(path, 'rb') as lines:
                for line in lines:
                    name = os.fsdecode(line.rstrip(b'\r\n'))
                    if name:
                        yield from self._of_file(os.path.normpath(os.path.join(start, name)))
        except OSError as error:
            yield Unreadable(self._below_root(path), path, f'{path}: {error.strerror}')

    def _of_file(self, path: str) -> Iterator[JobImage]:
        if path.lower().endswith(TAR_ENDINGS):
            yield from self._of_tar(path)
        else:
            yield ImageFile(self._below_root(path), path)

    def _of_tar(self, path: str) -> Iterator[JobImage]:
        name = self._below_root(path)
        try:
            with tarfile.open(path, tarinfo=_TarInfo) as tar:
                while (info := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # otherwise it remembers all of them
                    if info.isreg() and _is_wanted(os.path.basename(info.name), archives=False):
                        yield TarMember(name, info.name, path, tar, info)
                if not getattr(tar, 'has_end', False):
                    # Where a header is damaged or missing, tarfile only stops.
                    raise tarfile.ReadError(f'no header and no end at byte {tar.offset}')  # type: ignore[attr-defined]
        except _DAMAGE as error:
            yield Unreadable(name, path, f'{path}: the archive is damaged ({error})')

    def _below_root(self, path: str) -> str:
        start = os.path.join(self.root, '')
        path = path[len(start) :] if path.startswith(start) else path
        return path.replace(os.sep, '/')


class _TarInfo(tarfile.TarInfo):
    """A header that tells its archive when it is the mark of the end."""

    @classmethod
    def fromtarfile(cls, archive):
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            archive.has_end = True
            raise


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; whoever reads it gets the error
        return False


def _is_wanted(name: str, archives: bool = True) -> bool:
    if is_hidden(name):
        return False
    is_image = PurePath(name).suffix.lower() in IMAGE_ENDINGS
    return is_image or (archives and name.lower().endswith(TAR_ENDINGS))
