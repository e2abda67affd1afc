"""The number of files that a process may have open."""

import contextlib

import torch.multiprocessing

# Of a batch of 32 images with boxes and sigmas, two of them ready from each of 4 workers, and as
# much again for whatever else the process has open.
ENOUGH = 4096
# Some programs visit all numbers that a file might have, so no more than this.
PLENTY = 65536


def allow_open_files() -> None:
    """Let the batches of many loader workers wait at the same time; call it before workers start.

    Each tensor of a sample that a worker hands over keeps a file open, several for each image, and
    the usual limit of 1024 is soon reached: ``RuntimeError: received 0 items of ancdata``. The
    limit of this process is raised as far as the system lets it be; where that is not enough,
    tensors are handed over by name, which keeps no file open.

    Windows has no such limit.
    """
    try:
        import resource
    except ImportError:
        return
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    wanted = PLENTY if highest == resource.RLIM_INFINITY else min(PLENTY, highest)
    if limit < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, highest))
            limit = wanted
    if limit < ENOUGH:
        torch.multiprocessing.set_sharing_strategy('file_system')
