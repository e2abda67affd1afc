"""Names of images that stay the same from run to run, and sets of very many of them."""

from hashlib import blake2b

import numpy as np

KEY_BYTES = 16
_HALF = KEY_BYTES // 2
# Keys that wait in a set of Python until they are sorted in among the others.
_RECENT = 50_000


def image_key(path: str, member: str | None, size: int | None, mtime_ns: int | None) -> bytes:
    """Key of an image: another place, size or time of modification gives another key.

    Args:
        path: Path below the root, with ``/``; of the archive, for an image in one.
        member: Name in the archive; None for a file.
        size: Bytes of the file or of the member; None if it is not there.
        mtime_ns: Time of modification of a file in nanoseconds; None for the member of an archive.

    Returns:
        16 bytes: half of them are of the place alone and say which shard it is in.

    Examples:
        >>> key = image_key('a.jpg', None, 1000, 1)
        >>> key.hex()
        'fe47f0026e12a78928f6581a00a29cb5'
        >>> newer = image_key('a.jpg', None, 1000, 2)
        >>> newer == key, newer[:8] == key[:8]
        (False, True)
    """
    place = _place(path, member)
    version = place + f'\0{size}\0{mtime_ns}'.encode()
    return _hash(place) + _hash(version)


def shard_of(path: str, member: str | None, count: int) -> int:
    """The shard of ``count`` that an image belongs to, by its place alone."""
    return int.from_bytes(_hash(_place(path, member)), 'big') % count


def shard_of_key(key: bytes, count: int) -> int:
    """The same by the key of the image."""
    return int.from_bytes(key[:_HALF], 'big') % count


def _place(path: str, member: str | None) -> bytes:
    # Names of files that are not UTF-8 have surrogates; no name has a zero.
    text = path if member is None else f'{path}\0{member}'
    return text.encode('utf-8', 'surrogatepass')


def _hash(content: bytes) -> bytes:
    return blake2b(content, digest_size=_HALF).digest()


class KeySet:
    """A set of keys that takes little more than the 16 bytes of each.

    They are kept sorted; new ones wait in a set until they are many enough to be sorted in, for
    which the array is copied once.

    Examples:
        >>> keys = KeySet()
        >>> key = image_key('a.jpg', None, 1, 1)
        >>> keys.add(key), keys.add(key), key in keys, len(keys)
        (True, False, True, 1)
    """

    def __init__(self) -> None:
        # The type drops zeros at the end of a value where it is read, and adds them to compare.
        self._sorted = np.empty(0, f'S{KEY_BYTES}')
        self._recent: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def __contains__(self, key: bytes) -> bool:
        if key in self._recent:
            return True
        place = int(self._sorted.searchsorted(np.bytes_(key)))
        return place < len(self._sorted) and self._sorted[place] == key.rstrip(b'\0')

    def add(self, key: bytes) -> bool:
        """Add a key; whether it is new."""
        if key in self:
            return False
        self._recent.add(key)
        if len(self._recent) >= _RECENT:
            recent = np.fromiter(self._recent, self._sorted.dtype, len(self._recent))
            self._sorted = np.concatenate([self._sorted, recent])
            self._sorted.sort(kind='stable')
            self._recent.clear()
        return True
