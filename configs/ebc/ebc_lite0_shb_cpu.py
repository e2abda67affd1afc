# DMCount-EBC in small, for comparisons of counters: see compare_configs.py.
_base_ = '../_base_/experiments/lite0_shb_cpu.py'

model = dict(
    backbone=dict(out_indices=(4,)),
    head=dict(
        type='EBCHead',
        bin_centres=[0, 1, 2, 3, 4.41009],
        in_channels=112,
        mid_channels=(96, 48),
        out_stride=8,
        # The classes begin alike, thousands of persons. Without it PML takes all of them away.
        norm_cfg=dict(type='BN'),
    ),
    # As published 0.1, added up over the two images of a batch.
    loss=dict(type='EBCLoss', bins=[0, 1, 2, 3, 4], ot_weight=0.2),
)
