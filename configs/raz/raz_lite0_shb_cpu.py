# RAZ_loc in small, for laptops: strides 4 and 16, fewer channels, and a pixel where no logit is
# positive is no head.
_base_ = '../_base_/experiments/lite0_shb_cpu.py'

model = dict(
    backbone=dict(out_indices=(2, 4)),
    neck=dict(type='TopDownFusion', in_channels=[24, 112], out_channels=96),
    head=dict(
        type='RAZHead',
        in_channels=96,
        mid_channels=(64, 32),
        in_stride=4,
        positive_logits=False,
    ),
    loss=dict(type='DotCrossEntropyLoss', head_weight=100.0),
    localizer=dict(
        type='LocalMaximum',
        mode='absolute',
        threshold=0.5,
        smooth=3,
        join=False,
        source='probability',
    ),
    count_from='points',
)

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='loc/F1@8', rule='greater'))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
