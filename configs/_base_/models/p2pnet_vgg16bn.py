# P2PNet (Song et al., ICCV 2021): the backbone of vgg16bn.py and a neck that adds the levels as
# P2PNet does, with bilinear instead of nearest upsampling.
#
# The same network learns a density on the grid of its reference points, by any density loss: see
# configs/ablations/p2pnet_vgg16bn_sha.py.
_base_ = 'vgg16bn.py'

model = dict(
    type='PointCounter',
    neck=dict(_delete_=True, type='TopDownFusion', in_channels=[512, 512], out_channels=256),
    head=dict(
        _delete_=True, type='PointHead', in_channels=256, in_stride=8, points_per_cell=(2, 2)
    ),
    localizer=dict(type='ProposalThreshold', score_threshold=0.5),
)
