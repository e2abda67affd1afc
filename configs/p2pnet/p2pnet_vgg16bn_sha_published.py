# P2PNet as its program trains and tests it where that differs from its paper; see README.md.
_base_ = 'p2pnet_vgg16bn_sha.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    loss=dict(reduction='batch', point_weight=0.0),
    localizer=dict(keep_outside=True),
)
