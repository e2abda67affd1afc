import pytest
import torch

from mmcrowd.models import DensityHead


@pytest.mark.parametrize('upsample', DensityHead.UPSAMPLES)
@pytest.mark.parametrize('out_stride', [1, 2, 4, 8])
def test_output_stride(upsample, out_stride):
    head = DensityHead(6, (5,), in_stride=8, out_stride=out_stride, upsample=upsample)
    head.init_weights()
    density = head(torch.rand(2, 6, 3, 4))['density']
    assert density.shape == (2, 1, 24 // out_stride, 32 // out_stride)
    assert (density >= 0).all()


def test_pixel_shuffle_puts_channel_k_at_its_cell():
    head = DensityHead(1, (), in_stride=4, out_stride=2)
    with torch.no_grad():
        head.predict.weight.zero_()
        head.predict.bias.copy_(torch.arange(4.0))
    density = head(torch.zeros(1, 1, 1, 1))['density']
    assert density[0, 0].tolist() == [[0, 1], [2, 3]]


def test_bilinear_keeps_the_count():
    head = DensityHead(1, (), in_stride=8, out_stride=2, upsample='bilinear')
    with torch.no_grad():
        head.predict.weight.fill_(1)
        head.predict.bias.zero_()
    features = torch.rand(1, 1, 6, 7)
    # Away from the border interpolation keeps the sum; a constant map has no border.
    constant = torch.full_like(features, 0.25)
    assert head(constant)['density'].sum().item() == pytest.approx(constant.sum().item(), rel=1e-6)
    features[..., 0, :] = features[..., -1, :] = 0
    features[..., 0] = features[..., -1] = 0
    assert head(features)['density'].sum().item() == pytest.approx(features.sum().item(), rel=1e-6)


def test_initial_density_is_small_and_bias_zero():
    head = DensityHead(64, (32,))
    head.init_weights()
    assert (head.predict.bias == 0).all()
    assert head.predict.weight.abs().max() <= 1 / 32**0.5 / 100
    assert head(torch.rand(1, 64, 8, 8))['density'].max() < 0.05


def test_softplus_is_small_at_first_and_has_a_gradient_everywhere():
    head = DensityHead(64, (32,), activation='softplus')
    head.init_weights()
    features = torch.rand(1, 64, 8, 8)
    assert head(features)['density'].min() > 0 and head(features)['density'].max() < 0.1
    # Of either sign: features are not negative.
    assert head.predict.weight.min() < 0 < head.predict.weight.max()
    with torch.no_grad():
        head.predict.bias.fill_(-10)  # where a ReLU is dead
    head(features)['density'].sum().backward()
    assert (head.predict.bias.grad > 0).all()


def test_keeps_a_pretrained_head(tmp_path):
    source = DensityHead(4, (), in_stride=4)
    state = {f'head.{name}': value for name, value in source.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'), prefix='head')
    head = DensityHead(4, (), in_stride=4, init_cfg=init_cfg)
    head.init_weights()
    torch.testing.assert_close(head.predict.weight, source.predict.weight)


def test_densities_are_multiplied():
    head, features = DensityHead(4, mid_channels=(3,), in_stride=4), torch.rand(1, 4, 3, 5)
    head.predict.bias.data.fill_(0.1)
    before = head(features)['density']
    head.scale_density(2.0)
    torch.testing.assert_close(head(features)['density'], 2 * before)
    with pytest.raises(ValueError, match="activation='softplus', expected"):
        DensityHead(4, activation='softplus').scale_density(2.0)


def test_levels_of_a_backbone_are_taken():
    head = DensityHead(4, (), in_stride=4, out_stride=4)
    fine, coarse = torch.rand(1, 4, 4, 4), torch.rand(1, 4, 2, 2)
    torch.testing.assert_close(head((fine, coarse)), head(fine))


@pytest.mark.parametrize(
    'kwargs',
    [dict(out_stride=3), dict(out_stride=0), dict(upsample='nearest'), dict(activation='elu')],
)
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        DensityHead(4, **kwargs)
