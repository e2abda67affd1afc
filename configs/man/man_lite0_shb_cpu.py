# MAN in small, for comparisons of counters: see compare_configs.py.
_base_ = '../_base_/experiments/lite0_shb_cpu.py'

model = dict(
    backbone=dict(out_indices=(4,)),
    neck=dict(type='RegionAttentionEncoder', channels=112, num_layers=2, feedforward_channels=256),
    head=dict(
        type='DensityHead',
        in_channels=112,
        mid_channels=(96, 48),
        in_stride=16,
        out_stride=16,
        activation='softplus',
    ),
    loss=dict(type='LocalAttentionLoss', loss=dict(type='TopBayesianLoss')),
)

load, crop, *rest = _base_.train_pipeline
train_dataloader = dict(dataset=dict(pipeline=[load, dict(crop, type='VisibleCrop'), *rest]))
