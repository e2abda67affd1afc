# ShanghaiTech B within an hour on two CPU cores: bfloat16, images at two thirds of their size.
# The backbone starts from the converted edge network, see docs/pretrained_weights.md.
_base_ = [
    '_base_/models/vgg16.py',
    '_base_/datasets/shb.py',
    '_base_/schedules/cpu_1h.py',
    '_base_/default_runtime.py',
]

model = dict(
    # Before pool3 and pool4, at strides 4 and 8: heads are smaller than in the original.
    backbone=dict(
        out_stages=(2, 3), frozen_stages=1, init_cfg=dict(checkpoint='checkpoints/vgg16_hed.pth')
    ),
    neck=dict(in_channels=[256, 512], out_channels=128),
    head=dict(in_channels=128, mid_channels=(128, 64), in_stride=4),
    loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0, norm='kl'),
    precision='bf16',
)

# The images are 1024 x 768. One large crop rather than several small ones, because people whom its
# edge cuts in two teach wrong counts; and resized once, as in the test.
train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=512, scale_range=(0.6, 0.8)),
    dict(type='RandomHorizontalFlip'),
    dict(type='PartitionByNearestPoint', stride=2),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='LimitSide', longest=704),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=1, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))

default_hooks = dict(logger=dict(interval=20))
