"""Keys of images, and sets of very many of them."""

import hashlib

import numpy as np

from mmcrowd.apis.jobs import keys
from mmcrowd.apis.jobs.keys import KeySet, image_key, shard_of, shard_of_key


def test_the_shards_share_the_images():
    places = [(f'{k % 7}/{k}.jpg', None) for k in range(3000)] + [('a.tar', '1.jpg')]
    for count in (1, 2, 3, 16):
        shards = [shard_of(path, member, count) for path, member in places]
        assert set(shards) == set(range(count))
        assert np.bincount(shards).max() < 1.3 * len(places) / count
        # A file that changes stays with its shard.
        for (path, member), shard in zip(places[:50], shards, strict=False):
            assert {shard_of_key(image_key(path, member, 9, t), count) for t in range(3)} == {shard}


def test_keys_are_the_same_on_every_machine():
    """By the formula that is written down in docs/large_jobs.md."""

    def half(text):
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    assert image_key('a/\udce9.jpg', None, 7, 8).hex() == (
        half(b'a/\xed\xb3\xa9.jpg') + half(b'a/\xed\xb3\xa9.jpg\x007\x008')
    )
    assert image_key('a.tar', 'é', 7, None).hex() == (
        half(b'a.tar\0\xc3\xa9') + half(b'a.tar\0\xc3\xa9\x007\0None')
    )


def test_a_set_of_keys(monkeypatch):
    monkeypatch.setattr(keys, '_RECENT', 50)
    rng = np.random.default_rng(0)
    # Of few different bytes, so that some come twice, and some end in zeros.
    drawn = [bytes(14) + bytes(rng.integers(0, 20, 2).tolist()) for _ in range(900)]
    drawn += [bytes(reversed(key)) for key in drawn]
    ours, plain = KeySet(), set()
    for key in drawn:
        assert (key in ours) == (key in plain)
        assert ours.add(key) == (key not in plain)
        plain.add(key)
    assert len(ours) == len(plain) > 500
    # 16 bytes each, and a bounded number that waits.
    assert ours._sorted.nbytes == 16 * len(ours._sorted) and len(ours._recent) < 50
