# STEERER in small, for comparisons of counters: see compare_configs.py.
_base_ = '../_base_/experiments/lite0_shb_cpu.py'

model = dict(
    backbone=dict(out_indices=(2, 3, 4, 5)),
    head=dict(
        type='STEERERHead', in_channels=(24, 40, 112, 320), channels=48, mid_channels=(32, 16, 16)
    ),
    loss=dict(type='MSILoss'),
)
