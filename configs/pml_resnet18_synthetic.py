# The demo: the first half of a ResNet-18 learns from scratch on drawn crowds, in a few minutes on
# two CPU cores.
_base_ = [
    '_base_/losses/pml.py',
    '_base_/datasets/synthetic.py',
    '_base_/schedules/cpu_5min.py',
    '_base_/default_runtime.py',
]

model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=18,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(0, 1),
    ),
    # Strides 4 and 8.
    neck=dict(
        type='TopDownFusion', in_channels=[64, 128], out_channels=64, norm_cfg=dict(type='BN')
    ),
    head=dict(
        type='DensityHead',
        in_channels=64,
        mid_channels=(64,),
        in_stride=4,
        out_stride=4,
        norm_cfg=dict(type='BN'),
    ),
    loss=_base_.loss,
)

train_dataloader = dict(dataset=dict(partition_stride=model['head']['out_stride']))

default_hooks = dict(logger=dict(interval=10))
