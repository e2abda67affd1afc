import pytest
import torch

from mmcrowd.ops.grid import SeparableKernel, cell_centres, gaussian_kernel


def dense_kernel(points, size, stride, scale):
    """``(h, w, m)``, from all distances."""
    x, y = cell_centres(size, stride, points)
    square = (x[None, :, None] - points[:, 0]) ** 2 + (y[:, None, None] - points[:, 1]) ** 2
    return torch.exp(-square / scale)


@pytest.mark.parametrize('size', [(5, 7), (1, 3), (6, 1)])
@pytest.mark.parametrize('m', [0, 1, 9])
def test_gaussian_kernel_is_the_dense_one(size, m):
    rng = torch.Generator().manual_seed(0)
    points = torch.rand(m, 2, generator=rng, dtype=torch.float64) * 20
    kernel, dense = gaussian_kernel(points, size, 4, 30.0), dense_kernel(points, size, 4, 30.0)
    weights, values = (
        torch.rand(*shape, generator=rng, dtype=torch.float64) for shape in ((m,), size)
    )
    torch.testing.assert_close(kernel.to_cells(), dense.sum(2))
    torch.testing.assert_close(kernel.to_cells(weights), dense @ weights)
    torch.testing.assert_close(kernel.to_points(values), (values[..., None] * dense).sum((0, 1)))


def test_products_by_hand():
    kernel = SeparableKernel(rows=torch.tensor([[1.0, 2.0]]), columns=torch.tensor([[3.0, 4.0]]))
    assert kernel.to_cells().tolist() == [[1 * 3 + 2 * 4]]
    assert kernel.to_cells(torch.tensor([10.0, 1.0])).tolist() == [[10 * 1 * 3 + 2 * 4]]
    assert kernel.to_points(torch.tensor([[5.0]])).tolist() == [5 * 3, 5 * 8]
