import torch
import torch.nn.functional as F

from mmcrowd.models.backbones import VGGFeatures, VGGSideBranches


def test_levels_and_branches(tmp_path):
    """A checkpoint of VGG starts the branches, too, once."""
    torch.manual_seed(0)
    vgg = VGGFeatures(11, out_stages=range(5)).eval()
    state = {f'backbone.{name}': value for name, value in vgg.state_dict().items()}
    torch.save(state, tmp_path / 'vgg.pth')
    checkpoint = str(tmp_path / 'vgg.pth')
    init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone')
    network = VGGSideBranches(11, init_cfg=init_cfg).eval()
    network.init_weights()

    image = torch.rand(1, 3, 32, 48)
    stages = vgg(image)
    levels = network(image)
    assert [level.shape[1] for level in levels] == list(network.out_channels)
    assert [32 // level.shape[2] for level in levels] == list(network.out_strides)
    torch.testing.assert_close(levels[3], stages[4])
    for level, branch, stage, following in zip(
        levels, network.branches, stages, stages[1:], strict=False
    ):
        torch.testing.assert_close(branch.layers(F.max_pool2d(stage, 2)), following)
        torch.testing.assert_close(level, F.relu(branch.reduce(following)))

    # They are no shared parameters, and what was trained is not overwritten.
    with torch.no_grad():
        network.branches[0].layers[0].conv.weight.zero_()
    assert network.features[2].conv.weight.any()
    network.init_weights()
    assert not network.branches[0].layers[0].conv.weight.any()
