"""What an accelerator forbids, found on a machine that has none.

:class:`NoHostSteps` sees every operation of a piece of code and refuses those for which the host
would have to wait for the device. :func:`fake_cuda` makes tensors that have shape, dtype and the
device ``cuda``, but no values: with them also a tensor that was left on the host, and a copy that
waits, come to light. :func:`fake_mps` is the same for ``mps``, which has no float64.
"""

from contextlib import contextmanager

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

# The size of their result, or a number that Python asks for, depends on values.
WAITING = {
    aten._local_scalar_dense,  # item, tolist, bool, int, float
    aten._linalg_check_errors,  # cholesky, inv, solve
    aten._unique2,
    aten.bincount,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten.unique_consecutive,
    aten.unique_dim,
}
COPYING = {aten._to_copy, aten.copy_}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}


class NoHostSteps(TorchDispatchMode):
    """Refuses operations that wait for a device, also those of a backward pass on the CPU.

    Args:
        copies: Whether blocking copies from the host are refused too.
    """

    def __init__(self, copies=True):
        super().__init__()
        self.copies = copies

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        packet = func.overloadpacket
        waits = packet in WAITING
        if packet in INDEXING:
            waits = any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
        if packet is aten.repeat_interleave:  # counts as a tensor: their sum is asked for
            waits = kwargs.get('output_size') is None
        if waits:
            raise RuntimeError(f'{func} waits for the device')
        result = func(*args, **kwargs)
        if packet in COPYING and self.copies:
            source = args[0] if packet is aten._to_copy else args[1]
            crosses = source.device != result.device
            if crosses and not (kwargs.get('non_blocking') or args[2:3] == (True,)):
                raise RuntimeError(f'{func} from {source.device} to {result.device} waits')
        return result


@contextmanager
def fake_cuda():
    """In it every new tensor is without values, and ``device='cuda'`` can be named."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield torch.device('cuda', 0)


class NoDoubles(TorchDispatchMode):
    """Refuses float64 anywhere but on the host, as MPS does."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            is_double = isinstance(value, Tensor) and value.dtype == torch.float64
            if is_double and value.device.type != 'cpu':
                raise TypeError(f'{func}: no float64 on {value.device}')
        return result


@contextmanager
def fake_mps():
    """In it every new tensor is without values, and there is none in float64 on ``mps``."""
    with FakeTensorMode(allow_non_fake_inputs=True), NoDoubles():
        yield torch.device('mps', 0)


def to_device(batch, device):
    """Tensors in tuples, lists and dicts on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if hasattr(batch, '_fields'):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def assert_same(actual, expected):
    """See that tensors by name are those of another device, to 1e-4 of the largest number of all.

    Sums are taken in another order there, and what is 0 but for rounding, such as the value of a
    transport whose gradient alone matters, has no size of its own. A NaN, as PET has in the
    padding, is the same as another.
    """
    assert actual.keys() == expected.keys()
    largest = (x.detach().double().nan_to_num().abs().max() for x in expected.values())
    atol = 1e-4 * float(max(largest))
    for key, value in expected.items():
        torch.testing.assert_close(
            actual[key].detach().cpu(), value.detach(), rtol=1e-4, atol=atol, equal_nan=True
        )
