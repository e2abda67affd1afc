"""Many tensors that wait to be fetched from loader workers."""

import subprocess
import sys

import pytest
import torch

from mmcrowd.engine import open_files

resource = pytest.importorskip('resource')

# Each worker has two batches ready, of 64 tensors each: four times the limit of 64 files.
LOADER = """
import resource, runpy, sys
import torch
from torch.utils.data import DataLoader, Dataset

class Samples(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        return [torch.zeros(2) for _ in range(8)]

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
runpy.run_path(sys.argv[1])['allow_open_files']()  # mmcrowd.engine takes long to import
loader = DataLoader(Samples(), 8, num_workers=2, collate_fn=list)
print(sum(len(batch) for batch in loader))
"""


def test_the_limit_is_raised():
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    if highest != resource.RLIM_INFINITY and highest < open_files.ENOUGH:
        pytest.skip(f'no more than {highest} open files here')
    strategy = torch.multiprocessing.get_sharing_strategy()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, highest))
    try:
        open_files.allow_open_files()
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, highest))
    assert raised == open_files.PLENTY or raised == highest
    assert torch.multiprocessing.get_sharing_strategy() == strategy


def test_no_files_are_held_where_it_cannot_be_raised():
    command = [sys.executable, '-c', LOADER, open_files.__file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, '64\n'), done.stderr


def test_a_system_without_limits(monkeypatch):
    monkeypatch.setitem(sys.modules, 'resource', None)  # as on Windows
    open_files.allow_open_files()
