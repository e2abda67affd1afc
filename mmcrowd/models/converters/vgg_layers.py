"""Where the layers of a VGG stand, in torchvision's numbering and in ours."""

from mmcrowd.models.backbones import VGGFeatures


def vgg_layers(depth: int, batch_norm: bool = False) -> list[tuple[int, str]]:
    """Places of the convolutions and normalisations of a VGG.

    torchvision numbers every convolution, normalisation, ReLU and pooling layer of ``features``;
    :class:`mmcrowd.models.VGGFeatures` has a convolution and what follows it, up to its ReLU, as
    one layer.

    Args:
        depth: 11, 13, 16 or 19.
        batch_norm: Whether it is one of the networks with batch normalisation. Defaults to False.

    Returns:
        For each layer with parameters, in order, torchvision's number and the beginning of our
        name.

    Examples:
        >>> vgg_layers(19)[:3]
        [(0, 'features.0.conv.'), (2, 'features.1.conv.'), (5, 'features.3.conv.')]
        >>> vgg_layers(16, batch_norm=True)[-1]
        (41, 'features.16.bn.')
    """
    layers = []
    theirs = ours = 0
    for convolutions in VGGFeatures.arch_settings[depth]:
        for _ in range(convolutions):
            layers.append((theirs, f'features.{ours}.conv.'))
            if batch_norm:
                layers.append((theirs + 1, f'features.{ours}.bn.'))
            theirs += 3 if batch_norm else 2
            ours += 1
        theirs += 1  # the pooling layer
        ours += 1
    return layers
