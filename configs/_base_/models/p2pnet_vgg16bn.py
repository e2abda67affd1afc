# P2PNet (Song et al., ICCV 2021): the backbone and neck of vgg16bn.py, which adds the levels as
# P2PNet does, with bilinear instead of nearest upsampling.
#
# The same network learns a density on the grid of its reference points, by any density loss, with
# vgg16bn.py and head=dict(mid_channels=(256, 256), out_stride=4).
_base_ = 'vgg16bn.py'

model = dict(
    type='PointCounter',
    head=dict(
        _delete_=True, type='PointHead', in_channels=256, in_stride=8, points_per_cell=(2, 2)
    ),
    localizer=dict(type='ProposalThreshold', score_threshold=0.5),
)
