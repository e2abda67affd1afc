# P2PNet (Song et al., ICCV 2021) on VGG16-bn, as its program has it.
_base_ = 'vgg16bn.py'

start = dict(type='TorchDefault', layer='Conv2d')

model = dict(
    type='PointCounter',
    neck=dict(
        out_channels=256,
        upsample='nearest',
        act_cfg=None,
        init_cfg=dict(start, _delete_=True),
    ),
    head=dict(
        _delete_=True,
        type='PointHead',
        in_channels=256,
        mid_channels=(256, 256),
        in_stride=8,
        points_per_cell=(2, 2),
        reference_shift=0.5,  # to 2 and 6 pixels in a cell
        init_cfg=start,
    ),
    loss=dict(type='P2PLoss', matcher=dict(type='HungarianMatcher', score='probability')),
    localizer=dict(type='ProposalThreshold', score_threshold=0.5),
)
