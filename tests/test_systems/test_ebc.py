"""EBC against the outputs of its published program."""

import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.engine.config import read_config
from mmcrowd.models import EBCLoss
from mmcrowd.models.converters.ebc import convert, convert_back
from mmcrowd.models.losses.block_terms import block_counts
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.published import assert_equal

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def published(golden):
    return golden('ebc_vgg19_ae')


@pytest.fixture(scope='module')
def network(published):
    cfg = read_config(CONFIGS / 'ebc' / 'ebc_vgg19_sha.py')
    assert cfg.model.head.bin_centres == published['anchor_points'].tolist()
    assert cfg.model.loss.bins == published['bins'][:, 0].tolist()
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    network = MODELS.build(cfg.model).double().eval()
    network.load_state_dict(convert(published.state_dict()))
    return network


@torch.no_grad()
def test_network(published, network):
    number = sum(parameter.numel() for parameter in network.parameters())
    assert number == published['num_parameters'] == 21499973
    outputs = network(published.image(published['input_shape']))
    assert_equal(outputs['bin_logits'], published['logits'], rel=1e-12)
    # The bin centres are in single precision here.
    assert_equal(outputs['density'], published['density'], rel=1e-7)
    assert_equal(outputs['density'].sum((1, 2, 3)), published['count'].ravel(), rel=1e-7)


@torch.no_grad()
def test_prediction_on_a_rectangle(published, network):
    (sample,) = network(published.image(published['rect_input_shape'], offset=1), mode='predict')
    assert_equal(sample.pred_density.density[None], published['rect_density'], rel=1e-7)
    assert sample.pred_count == pytest.approx(published['rect_density'].sum(), rel=1e-7)


@pytest.mark.parametrize(
    'case, settings',
    [
        # The published transport term is a sum over the batch, of two images here.
        ('dmcount', dict(ot_weight=2 * 0.1)),
        ('mae', dict(count_weight=0, ot_weight=0, tv_weight=0, mae_weight=1)),
        ('mse', dict(count_weight=0, ot_weight=0, tv_weight=0, mse_weight=1)),
    ],
)
def test_loss(published, case, settings):
    # The published program puts the origin at the corner of the first pixel.
    points = [published.points(i) - 0.5 for i in range(2)]
    counts = block_counts(points, (16, 16), 8, one_per_pixel=True)
    assert_equal(counts, published['block_counts'])
    samples = [CrowdDataSample(gt_instances=InstanceData(points=p)) for p in points]
    outputs = dict(
        bin_logits=torch.tensor(published['logits'], requires_grad=True),
        density=(torch.tensor(published['density']) * 0.05).requires_grad_(),
    )
    assert published['loss_density_factor'] == 0.05
    loss = EBCLoss(bins=published['bins'][:, 0].astype(int), one_per_pixel=True, **settings)
    terms = loss.loss(outputs, samples, 8)
    total = sum(terms.values())
    total.backward()
    weights = dict(ce=1, tv=0.01, count=1, mae=1, mse=1)
    for name, weight in weights.items():
        assert (f'loss_{name}' in terms) == (f'loss/{case}/{name}_loss' in published)
        if f'loss_{name}' in terms:
            expected = weight * published[f'loss/{case}/{name}_loss']
            assert_equal(terms[f'loss_{name}'], expected)
    assert_equal(total, published[f'loss/{case}/total'])
    assert_equal(outputs['bin_logits'].grad, published['grad/ce/logits'])
    assert_equal(outputs['density'].grad, published[f'grad/{case}/density'], rel=1e-8)


def test_converter_there_and_back(load_tool, published, monkeypatch, tmp_path):
    tool = load_tool('model_converters/ebc_from_published.py')
    state_dict = {name: value.float() for name, value in published.state_dict().items()}
    monkeypatch.chdir(tmp_path)
    torch.save(dict(epoch=1, model_state_dict=state_dict), 'ckpt.pth')
    for arguments in (['ckpt.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    back = torch.load('theirs.pth')
    assert set(back) == set(state_dict)
    assert all(torch.equal(back[name], value) for name, value in state_dict.items())


def test_converter_of_other_networks(published):
    state_dict = published.state_dict()
    # Other bins are another last layer.
    bins = dict(state_dict)
    bins['classifier.weight'], bins['classifier.bias'] = torch.zeros(12, 128, 1, 1), torch.zeros(12)
    assert convert(bins)['head.predict.bias'].shape == (12,)
    # The published Bayesian loss has the same trunk.
    del state_dict['classifier.bias']
    with pytest.raises(
        ValueError, match=r"compared with EBC, 1 are missing \['classifier\.bias'\]"
    ):
        convert(state_dict)
    with pytest.raises(ValueError, match='not the parameters of EBC'):
        convert_back(convert(bins) | {'head.bin_centres': torch.zeros(5)})
