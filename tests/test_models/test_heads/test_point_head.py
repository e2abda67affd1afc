import pytest
import torch

from mmcrowd.models import DensityHead, PointHead
from mmcrowd.ops.grid import cell_centres


def silent_head(*args, **kwargs):
    """A head whose outputs are the biases of its last layers, 0."""
    head = PointHead(*args, **kwargs)
    with torch.no_grad():
        for layer in (head.predict_offsets, head.predict_logits):
            layer.weight.zero_()
            layer.bias.zero_()
    return head


def test_reference_points_by_hand():
    head = PointHead(4)
    points = head.reference_points((1, 2), torch.zeros(0))
    rows = [[(x, y) for x in (1.5, 5.5, 9.5, 13.5)] for y in (1.5, 5.5)]
    assert points.tolist() == [list(point) for row in rows for point in row]


def test_reference_points_that_count_from_the_corner():
    head = PointHead(4, reference_shift=0.5)
    points = head.reference_points((1, 2), torch.zeros(0))
    assert points.tolist() == [[x, y] for y in (2, 6) for x in (2, 6, 10, 14)]


@pytest.mark.parametrize('in_stride', [1, 4, 8, 16])
@pytest.mark.parametrize('grid', [(1, 1), (2, 2), (3, 2), (1, 4)])
def test_reference_points_share_out_their_cell(in_stride, grid):
    head = PointHead(4, in_stride=in_stride, points_per_cell=grid)
    points = head.reference_points((3, 5), torch.zeros(0, dtype=torch.float64))
    points = points.view(3, grid[0], 5, grid[1], 2)
    x, y = cell_centres((3, 5), in_stride, points)
    torch.testing.assert_close(points[..., 0].mean((0, 1, 3)), x)
    torch.testing.assert_close(points[..., 1].mean((1, 2, 3)), y)
    # The spacing goes on from cell to cell.
    for axis, parts in ((0, grid[1]), (1, grid[0])):
        places = points[..., axis].unique()
        assert places[0].item() == pytest.approx(in_stride / parts / 2 - 0.5)
        torch.testing.assert_close(
            places.diff(), torch.full((len(places) - 1,), in_stride / parts, dtype=torch.float64)
        )


def test_scores_lie_on_the_cells_of_a_density_at_stride_4():
    features = torch.rand(1, 4, 3, 5)
    density = DensityHead(4, (6, 6), in_stride=8, out_stride=4)(features)['density']
    proposals, logits = silent_head(4, (6,))(features).values()
    size = tuple(density.shape[2:])
    assert logits[..., 1].view(1, *size).shape == density[0].shape
    x, y = cell_centres(size, 4, density)
    grid = proposals.detach().view(*size, 2)
    assert torch.equal(grid[..., 0], x.expand(size))
    assert torch.equal(grid[..., 1], y[:, None].expand(size))


@pytest.mark.parametrize('grid', [(2, 2), (1, 3)])
def test_each_channel_belongs_to_its_place_in_the_cell(grid):
    rows, cols = grid
    head = silent_head(4, (6,), points_per_cell=grid, offset_scale=50)
    with torch.no_grad():
        head.predict_offsets.bias.copy_(torch.arange(2.0 * rows * cols) / 50)
        head.predict_logits.bias.copy_(torch.arange(2.0 * rows * cols))
    proposals, logits = head(torch.rand(2, 4, 3, 2)).values()
    expected = torch.arange(2.0 * rows * cols).view(rows, 1, cols, 2)
    expected = expected.expand(2, 3, rows, 2, cols, 2)
    torch.testing.assert_close(logits, expected.reshape(2, -1, 2))
    reference = head.reference_points((3, 2), proposals)
    torch.testing.assert_close(proposals - reference, expected.reshape(2, -1, 2))


def test_values_come_from_their_own_cell():
    head = PointHead(1, (), points_per_cell=(2, 2))
    with torch.no_grad():
        for layer in (head.predict_offsets, head.predict_logits):
            layer.weight.zero_()
            layer.weight[:, 0, 1, 1] = 1
            layer.bias.zero_()
    features = torch.arange(6.0).view(1, 1, 2, 3)
    proposals, logits = head(features).values()
    cells = features[0, 0].repeat_interleave(2, 0).repeat_interleave(2, 1).reshape(1, -1, 1)
    torch.testing.assert_close(logits, cells.expand(1, 24, 2))
    offsets = proposals - head.reference_points((2, 3), proposals)
    torch.testing.assert_close(offsets, 100 * cells.expand(1, 24, 2))


def test_starts_on_the_grid_with_even_scores():
    torch.manual_seed(0)
    head = PointHead(64)
    head.init_weights()
    features = torch.rand(1, 64, 8, 8)
    proposals, logits = head(features).values()
    offsets = proposals - head.reference_points((8, 8), proposals)
    assert offsets.abs().max() < 4
    assert (logits.softmax(-1) - 0.5).abs().max() < 0.02
    # and is not stuck there
    assert offsets.std() > 0 and logits.std() > 0
    assert not head.predict_offsets.bias.any() and not head.predict_logits.bias.any()


def test_positions_are_exact_under_autocast():
    head = silent_head(4, (6,))
    with torch.autocast('cpu', torch.bfloat16):
        proposals, logits = head(torch.rand(1, 4, 1, 300)).values()
    assert proposals.dtype == logits.dtype == torch.float32
    assert proposals[0, :, 0].max() == 8 * 300 - 2.5


def test_float64_stays_float64():
    proposals, logits = PointHead(4, (6,)).double()(torch.rand(1, 4, 2, 2).double()).values()
    assert proposals.dtype == logits.dtype == torch.float64


def test_memory_format_makes_no_difference():
    head, features = PointHead(4, (6,)).double(), torch.rand(2, 4, 3, 5).double()
    expected = head(features)
    actual = head.to(memory_format=torch.channels_last)(
        features.contiguous(memory_format=torch.channels_last)
    )
    torch.testing.assert_close(actual, expected)


def test_levels_of_a_backbone_are_taken():
    head = PointHead(4, (6,))
    fine, coarse = torch.rand(1, 4, 4, 4), torch.rand(1, 4, 2, 2)
    torch.testing.assert_close(head((fine, coarse)), head(fine))


@pytest.mark.parametrize('grid', [(0, 2), (2,), (2, 2, 2)])
def test_bad_grid(grid):
    with pytest.raises(ValueError, match='points_per_cell'):
        PointHead(4, points_per_cell=grid)
