# P2PNet in small, for comparisons of counters: see compare_configs.py.
_base_ = '../_base_/experiments/lite0_shb_cpu.py'

model = dict(
    type='PointCounter',
    neck=dict(
        type='TopDownFusion',
        in_channels=[40, 112],
        out_channels=96,
        upsample='nearest',
        act_cfg=None,
    ),
    head=dict(
        type='PointHead',
        in_channels=96,
        mid_channels=(96, 96),
        reference_shift=0.5,
        norm_cfg=dict(type='BN'),
    ),
    loss=dict(type='P2PLoss'),
)
