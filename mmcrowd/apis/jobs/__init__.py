"""Jobs: millions of images, counted by shards that may be killed, once each."""

from .images import JobImages
from .shard import count_shard, device_of_process, parse_shard, shard_of_process
from .tables import write_tables

__all__ = [
    'JobImages',
    'count_shard',
    'device_of_process',
    'parse_shard',
    'shard_of_process',
    'write_tables',
]
