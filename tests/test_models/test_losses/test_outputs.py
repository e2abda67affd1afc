"""What losses say of outputs and samples that they cannot use."""

import inspect
import re
import warnings

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

from mmcrowd.models import losses
from mmcrowd.models.losses import (
    D2CLoss,
    DensityLoss,
    IKNNLoss,
    OutputLoss,
    SwitchCoupledLoss,
    TopoCountLoss,
)
from mmcrowd.models.losses.output_loss import as_output_loss
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ...testing.losses import LOSSES, build_loss

# For each loss of more than a density: its settings, and the outputs that it needs.
NEEDS = dict(
    CLTRLoss=({}, ('points', 'logits', 'spacing', 'auxiliary')),
    D2CLoss=({}, ('probability',)),
    DotCrossEntropyLoss=({}, ('logits',)),
    EBCLoss=(dict(bins=[0, 1]), ('bin_logits', 'density')),
    GridWTALoss=({}, ('logits',)),
    IIMLoss=({}, ('map', 'threshold')),
    IKNNLoss=({}, ('density', 'maps')),
    LocalAttentionLoss=(dict(loss=dict(type='BayesianLoss')), ('region_features',)),
    MSILoss=({}, ('densities',)),
    P2PLoss=({}, ('points', 'logits')),
    PETLoss=({}, ('sparse', 'dense', 'split_map')),
    SwitchCoupledLoss=({}, ('densities', 'logits')),
    SwitchDifferentialLoss=({}, ('densities',)),
    SwitchPretrainLoss=({}, ('densities',)),
    TargetMapLoss=(dict(target='iknn', source='my_map'), ('my_map',)),
    TopBayesianLoss=({}, ('density',)),
    TopoCountLoss=({}, ('logit',)),
    ZIPLoss=(dict(bins=[0, 1]), ('pi_logits', 'bin_logits', 'rate', 'density')),
)


@pytest.fixture(autouse=True)
def crowd_scope():
    init_default_scope('mmcrowd')


def test_every_loss_is_here():
    classes = {name: getattr(losses, name) for name in losses.__all__}
    known = {each for each in classes.values() if inspect.isclass(each)}
    taking = {each.__name__ for each in known if issubclass(each, OutputLoss)}
    assert taking - {'OutputLoss', 'SwitchLoss'} == set(NEEDS)


def refuses(loss, outputs, name, class_name=None):
    message = (
        f'{class_name or type(loss).__name__} needs the output {name!r}, which is none of the '
        f'outputs {list(outputs)}'
    )
    with pytest.raises(KeyError, match=re.escape(message)):
        loss.loss(outputs, [CrowdDataSample()], 4)


@pytest.mark.parametrize(
    'kind, missing', [(kind, name) for kind, (_, names) in NEEDS.items() for name in names]
)
def test_a_missing_output_is_named(kind, missing):
    settings, names = NEEDS[kind]
    values = dict.fromkeys(('other', *names), torch.zeros(1, 1, 4, 4))
    del values[missing]
    refuses(MODELS.build(dict(type=kind, **settings)), values, missing)


@pytest.mark.parametrize('name', LOSSES)
def test_a_missing_density_is_named(name):
    loss = build_loss(name)
    assert isinstance(loss, DensityLoss)
    refuses(loss, dict(other=torch.zeros(1)), loss.source)


def test_the_inner_loss_is_named():
    class Plain(torch.nn.Module):
        def forward(self, density, points, stride, partition=None):
            return dict(loss_count=density.sum())

    refuses(as_output_loss(Plain()), dict(map=torch.zeros(1)), 'density', 'Plain')
    loss = MODELS.build(dict(type='LocalAttentionLoss', loss=dict(type='BayesianLoss')))
    outputs = dict(region_features=[torch.zeros(1, 1, 1, 2)])
    refuses(loss, outputs, 'density', 'BayesianLoss')


def switch_outputs(columns, logits):
    return dict(densities=[torch.ones(1, 1, 4, 4)] * columns, logits=torch.zeros(1, logits))


def point_sample():
    points = InstanceData(points=torch.full((1, 2), 8.0))
    return CrowdDataSample(gt_instances=points, metainfo=dict(img_shape=(16, 16)))


def test_a_head_without_a_switch():
    outputs = switch_outputs(3, 3)
    del outputs['logits']
    with pytest.raises(KeyError, match="needs the output 'logits'.*needs switch_channels"):
        SwitchCoupledLoss().loss(outputs, [point_sample()], 4)


@pytest.mark.parametrize('number, columns, logits', [(2, 3, 3), (4, 3, 3), (3, 3, 2), (3, 2, 3)])
def test_another_number_of_columns(number, columns, logits):
    message = f'num_columns={number}, but the head has {columns} densities and {logits} logits'
    with pytest.raises(ValueError, match=message):
        SwitchCoupledLoss(num_columns=number).loss(
            switch_outputs(columns, logits), [point_sample()], 4
        )


@pytest.mark.parametrize(
    'counts, side, needed',
    [
        ((1, 1, 3, 3), 4, (1, 1, 2, 3)),
        ((1, 1, 2, 5), 2, (1, 1, 4, 6)),
        ((1, 1, 8, 24), 1, (1, 1, 8, 12)),
        ((1, 1, 1, 1), 12, (1, 1, 0, 1)),
        ((1, 2, 2, 3), 4, (1, 1, 2, 3)),
        ((2, 1, 2, 3), 4, (1, 1, 2, 3)),
    ],
)
def test_counts_of_cells_that_are_no_squares(counts, side, needed):
    maps = PixelData(probability=torch.zeros(1, 8, 12), density=torch.ones(1, 8, 12))
    outputs = dict(probability=torch.zeros(1, 1, 8, 12), count=torch.zeros(counts))
    message = (
        f"D2CLoss: the output 'count' has the shape {counts}, but the sums of 'density' over "
        f'squares of {side}x{side} of its 8x12 cells have {needed}'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        D2CLoss().loss(outputs, [CrowdDataSample(gt_maps=maps)], 1)


def test_counts_may_leave_cells_over():
    maps = PixelData(probability=torch.zeros(1, 9, 14), density=torch.ones(1, 9, 14))
    outputs = dict(probability=torch.zeros(1, 1, 9, 14), count=torch.zeros(1, 1, 2, 3))
    terms = D2CLoss().loss(outputs, [CrowdDataSample(gt_maps=maps)], 1)
    assert terms['loss_count'] == 6 * 16**2


def test_a_sample_without_a_count():
    sample = CrowdDataSample(
        gt_maps=PixelData(iknn=torch.ones(1, 2, 2)), metainfo=dict(img_id='IMG_7')
    )
    outputs = dict(maps=torch.zeros(1, 3, 2, 2), density=torch.ones(1, 1, 2, 2))
    with pytest.raises(KeyError, match="image 'IMG_7': IKNNLoss needs gt_count"):
        IKNNLoss().loss(outputs, [sample], 1)


@pytest.mark.parametrize('patch_size, size', [(50, (60, 60)), (100, (256, 110)), (50, (70, 200))])
def test_maps_without_patches_are_told_once(patch_size, size):
    loss = TopoCountLoss(patch_size, start_epoch=0)
    sample = CrowdDataSample(gt_maps=PixelData(mask=torch.zeros(1, *size)))
    outputs = dict(logit=torch.zeros(1, 1, *size))
    least = patch_size + 21
    message = (
        f'TopoCountLoss: maps of {size[0]}x{size[1]} pixels (h, w) have no patch of '
        f'patch_size={patch_size}, so their topology term is 0; expected at least {least}x{least}.'
    )
    with pytest.warns(UserWarning, match=re.escape(message)):
        assert loss.loss(outputs, [sample], 1)['loss_topology'] == 0
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        loss.loss(outputs, [sample], 1)
        TopoCountLoss(patch_size, topology_weight=0).loss(outputs, [sample], 1)


def test_one_pixel_more_has_a_patch():
    loss = TopoCountLoss(50, start_epoch=0)
    sample = CrowdDataSample(gt_maps=PixelData(mask=torch.zeros(1, 71, 71)))
    outputs = dict(logit=torch.randn(1, 1, 71, 71, generator=torch.Generator().manual_seed(0)))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        loss.loss(outputs, [sample], 1)
    values = outputs['logit'].sigmoid()[0, 0]
    assert loss.topology(values, torch.zeros(71, 71), start=(10, 10)) > 0
    assert loss.topology(values[:70], torch.zeros(70, 71), start=(10, 10)) == 0


def test_patches_have_whole_sides():
    with pytest.raises(ValueError, match='patch_size must be an integer, but got 50.5'):
        TopoCountLoss(patch_size=50.5)
