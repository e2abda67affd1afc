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
        # Without it the Bayesian loss takes all density away before the tokens differ.
        norm_cfg=dict(type='BN'),
        activation='softplus',
    ),
    # With the published 1.0, added up over all tokens, the density was gone after 300 steps.
    loss=dict(type='LocalAttentionLoss', loss=dict(type='TopBayesianLoss'), weight=0.1),
)

# At the rate of the others all tokens of the encoder become alike.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=0.2))))

load, crop, *rest = _base_.train_pipeline
train_dataloader = dict(dataset=dict(pipeline=[load, dict(crop, type='VisibleCrop'), *rest]))
