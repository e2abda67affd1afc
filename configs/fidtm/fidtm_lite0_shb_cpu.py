# FIDTM in small, for laptops.
_base_ = '../_base_/experiments/lite0_shb_cpu.py'

model = dict(
    backbone=dict(out_indices=(2, 3, 4)),
    neck=dict(type='ResizeConcat'),
    # For trainings of few steps: the published momentum of the normalisation is 0.01, and the map
    # that PyTorch's initial weights of transposed convolutions begin with takes a hundred to fade.
    head=dict(
        type='MapHead',
        in_channels=24 + 40 + 112,
        mid_channels=[64],
        in_stride=4,
        norm_cfg=dict(type='BN'),
        init_cfg=dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.01),
    ),
    loss=dict(
        type='FIDTMLoss',
        source='map',
        reduction='sum',
        mse_weight=16.0,
        ssim_weight=0.0,
        tail=0.01,
        to_pixels=True,
    ),
    # Upsampling leaves ripples on the peaks, which the blur joins.
    localizer=dict(
        type='LocalMaximum', mode='adaptive', floor=0.1, join=False, source='map', blur=1.0
    ),
    count_from='points',
)

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='loc/F1@8', rule='greater'))
