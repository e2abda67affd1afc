# ShanghaiTech B in half an hour on two CPU cores: bfloat16, images at half their size.
# The backbone starts from the converted edge network, see docs/pretrained_weights.md.
_base_ = [
    '_base_/models/vgg16.py',
    '_base_/datasets/shb.py',
    '_base_/schedules/cpu_30min.py',
    '_base_/default_runtime.py',
]

model = dict(
    # Before pool3 and pool4, at strides 4 and 8: heads are half as large as in the original.
    backbone=dict(
        out_stages=(2, 3), frozen_stages=2, init_cfg=dict(checkpoint='checkpoints/vgg16_hed.pth')
    ),
    neck=dict(in_channels=[256, 512], out_channels=128),
    head=dict(in_channels=128, mid_channels=(128, 64), in_stride=4),
    loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0, norm='kl'),
    precision='bf16',
)

longest = 512  # the images are 1024 px wide

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='LimitSide', longest=longest),
    dict(type='RandomScaleCrop', crop_size=256, scale_range=(0.75, 1.33)),
    dict(type='RandomHorizontalFlip'),
    dict(type='PhotometricDistortion'),
    dict(type='PartitionByNearestPoint', stride=2),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='LimitSide', longest=longest),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))

default_hooks = dict(logger=dict(interval=10))
