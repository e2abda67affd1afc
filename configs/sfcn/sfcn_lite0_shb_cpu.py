# SFCN in small, for comparisons of counters: see compare_configs.py.
_base_ = '../_base_/experiments/lite0_shb_cpu.py'

model = dict(
    backbone=dict(out_indices=(3,)),
    neck=dict(
        type='SpatialEncoder',
        in_channels=40,
        mid_channels=(96, 96, 96, 64, 48, 32),
        # At these widths the published start, 0.01, leaves nothing of the features. The sweeps keep
        # it: they add up over 64 cells, and a larger start grows beyond all bounds.
        init_cfg=dict(
            type='Kaiming',
            layer='Conv2d',
            mode='fan_in',
            override=[dict(type='Normal', name=name, std=0.01) for name in ('rows', 'columns')],
        ),
    ),
    head=dict(
        type='PerPixelHead',
        in_channels=32,
        in_stride=8,
        out_stride=1,
        # At rates for a few hundred steps a ReLU at the end is soon dead.
        activation='none',
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.001, bias=0.01),
    ),
    loss=dict(type='GaussianMSELoss'),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'neck': dict(lr_mult=0.2),
            'neck.rows': dict(lr_mult=0.02),
            'neck.columns': dict(lr_mult=0.02),
            'head': dict(lr_mult=0.2),
        }
    )
)
