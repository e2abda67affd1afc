# The inverse nearest-neighbour map as the target of an ordinary counter: its peaks are the heads.
_base_ = [
    '../_base_/datasets/sha.py',
    '../_base_/schedules/adam_3000e_constant.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=8,
    ),
    backbone=dict(
        type='VGGFeatures',
        depth=16,
        out_stages=(3,),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone',
        ),
    ),
    # It begins with a map of nearly zero, and soon has statistics of its own.
    head=dict(
        type='MapHead',
        in_channels=512,
        mid_channels=(128, 64),
        in_stride=8,
        norm_cfg=dict(type='BN'),
        init_cfg=dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.01),
    ),
    loss=dict(type='TargetMapLoss', target='iknn', weight=100.0),
    localizer=dict(type='LocalMaximum', mode='absolute', threshold=0.3, source='map', blur=1.0),
    count_from='points',
)

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='KeepWholePoints'),
    dict(type='RandomScaleCrop', crop_size=256, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='InverseNeighbourMap', k=1),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='loc/F1@8', rule='greater'))
