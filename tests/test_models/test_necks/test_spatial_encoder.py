import pytest
import torch
import torch.nn.functional as F

from mmcrowd.models import SpatialEncoder
from mmcrowd.models.necks.spatial_encoder import Sweep


@pytest.mark.parametrize('axis', [2, 3])
def test_sweep_is_the_recurrence(axis):
    """Cell by cell, in a map that is written over in place."""
    torch.manual_seed(0)
    sweep = Sweep(2, 3, axis).double()
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    actual = sweep(x)
    # Along rows in both cases; a map of columns is turned.
    weight = sweep.conv.weight.flatten(2)
    expected = (x if axis == 2 else x.transpose(2, 3)).clone()
    length, cells = expected.shape[2:]
    order = [(i, i - 1) for i in range(1, length)] + [(i - 1, i) for i in range(length - 1, 0, -1)]
    for here, before in order:
        row = F.pad(expected[:, :, before], (1, 1))
        for cell in range(cells):
            window = row[:, :, cell : cell + 3]
            value = torch.einsum('oik,nik->no', weight, window) + sweep.conv.bias
            expected[:, :, here, cell] += value.clamp(min=0)
    expected = expected if axis == 2 else expected.transpose(2, 3)
    torch.testing.assert_close(actual, expected)


def test_every_cell_sees_the_whole_map():
    torch.manual_seed(0)
    neck = SpatialEncoder(2, (3,), kernel_size=3)
    for layer in (neck.rows, neck.columns):  # positive, so that no ReLU stops a gradient
        layer.conv.weight.data.abs_()
    x = torch.rand(1, 2, 6, 7, requires_grad=True)
    neck.convs[0].conv.weight.data.abs_()
    y = neck([None, x])
    assert y.shape == (1, 3, 6, 7) and neck.out_channels == 3
    y[0, :, 0, 0].sum().backward()
    assert (x.grad != 0).all()


def test_one_cell():
    x = torch.rand(1, 4, 1, 1)
    assert torch.equal(Sweep(4, 9, axis=2)(x), x)


@pytest.mark.parametrize('kwargs', [dict(mid_channels=()), dict(kernel_size=4)])
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        SpatialEncoder(**kwargs)
