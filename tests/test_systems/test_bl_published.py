"""The network of Bayesian Loss, DM-Count and GL, and losses, against the published programs."""

import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from mmcrowd.engine.config import read_config
from mmcrowd.models import BayesianLoss, DMCountLoss
from mmcrowd.models.converters.bl import convert, convert_back
from mmcrowd.registry import MODELS

from ..testing.published import assert_equal

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module', params=['bl', 'dmc'])
def program(request):
    return request.param


@pytest.fixture(scope='module')
def published(golden, program):
    return golden(dict(bl='bl_vgg19', dmc='dmcount_vgg19')[program])


def build(name):
    """The counter of a config, without weights."""
    cfg = read_config(CONFIGS / name)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        return MODELS.build(cfg.model).eval()


def test_network(published, program):
    state_dict = published.state_dict()
    assert sum(value.numel() for value in state_dict.values()) == 21499457
    model = build(f'{program}/{program}_vgg19_official_sha.py')
    model.load_state_dict(convert(state_dict), assign=True)
    with torch.no_grad():
        outputs = model(published.image(published['input_shape']))
    assert_equal(outputs['density'], published['density'])
    assert_equal(outputs['density'].sum((1, 2, 3)), published['count'])
    if program == 'bl':
        for kind in ('rect_', 'odd_'):
            inputs = published.image(published[f'{kind}input_shape'], offset=1)
            with torch.no_grad():
                assert_equal(model(inputs)['density'], published[f'{kind}density'])

    back = convert_back(dict(model.state_dict()), program)
    assert set(back) == set(state_dict)
    assert all(torch.equal(back[name], value) for name, value in state_dict.items())


def test_generalized_loss_has_the_same_names(golden):
    """Its checkpoints are those of the Bayesian loss's network."""
    published = golden('bl_vgg19').state_dict()
    model = build('gl/gl_vgg19_official_qnrf.py')
    model.load_state_dict(convert(published), assign=True)
    assert list(convert_back(convert(published), 'gl')) == list(published)
    # Its program repeats cells where that of the Bayesian loss interpolates.
    assert model.head.upsample == 'nearest' and model.head.activation == 'abs'


@pytest.mark.parametrize('case', ['bayesian', 'bayesian_nobg', 'bayesian_second_empty'])
def test_bayesian_loss(golden, case):
    """The published program expects of a person at the edge the visible share, ours of each 1.

    Where every expected count is below the share, the gradients are equal and the losses differ by
    what is not visible. In the second image without background one count is above its share.
    """
    published = golden('bl_vgg19')
    # its cell centres are (j + 0.5) * stride
    points = [published.points(image) - 0.5 for image in (0, 1)]
    image, shares = published['points_image'], published['points_target']
    if case == 'bayesian_second_empty':
        points[1] = points[1][:0]
        shares = shares[image == 0]
    density = torch.as_tensor(published['loss_density']).requires_grad_()
    loss = BayesianLoss(background=case != 'bayesian_nobg')
    terms = loss(density, points, 8, image_sides=published['st_size'].tolist())
    total = sum(terms.values())
    total.backward()
    if case == 'bayesian_nobg':
        assert_equal(density.grad[0], published[f'grad/{case}'][0])
    else:
        assert_equal(density.grad, published[f'grad/{case}'])
        assert_equal(total - (1 - shares).sum() / 2, published[f'loss/{case}'], rel=1e-7)


@pytest.mark.parametrize('term', ['ot', 'tv', 'count'])
def test_dm_count_loss(golden, term):
    published = golden('dmcount_vgg19')
    points = [published.points(image) - 0.5 for image in (0, 1)]
    density = torch.as_tensor(published['loss_density']).requires_grad_()
    # The published transport term is a sum over the batch, of two images here.
    value = DMCountLoss(ot_weight=2)(density, points, 8)[f'loss_{term}']
    value.backward()
    if term == 'ot':  # 0 by construction
        assert abs(value.item()) < 1e-9 and abs(published['loss/ot'].item()) < 1e-9
    else:
        assert_equal(value, published[f'loss/{term}'], rel=1e-5)
    assert_equal(density.grad, published[f'grad/{term}'], rel=1e-5)


def test_files_there_and_back(golden, load_tool, monkeypatch, tmp_path):
    """A checkpoint of a training of theirs, and one of ours for their test program."""
    tool = load_tool('model_converters/bl_from_published.py')
    monkeypatch.chdir(tmp_path)
    state_dict = {
        name: torch.zeros(()).expand(value.shape)
        for name, value in golden('dmcount_vgg19').state_dict().items()
    }
    torch.save(dict(epoch=3, model_state_dict=state_dict, optimizer_state_dict={}), 'ckpt.tar')
    for arguments in (['ckpt.tar', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back', 'dmc']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    assert list(torch.load('theirs.pth', weights_only=True)) == list(state_dict)

    torch.save({'features.0.weight': torch.zeros(64, 3, 3, 3)}, 'other.pth')
    monkeypatch.setattr(sys, 'argv', ['tool', 'other.pth', 'ours.pth'])
    with pytest.raises(
        ValueError, match=r'other\.pth: not the parameters of bl or dmc; .*37 are miss'
    ):
        tool.main()
