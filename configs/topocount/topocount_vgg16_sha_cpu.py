# TopoCount in small for CPUs: the first three stages of VGG16, padded, and crops.
# The backbone starts from the converted edge network, see docs/pretrained_weights.md.
_base_ = [
    '../_base_/models/topocount_vgg16.py',
    '../_base_/datasets/sha.py',
    '../_base_/schedules/cpu_1h.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        out_stages=(0, 1, 2),
        frozen_stages=1,
        initial_padding=None,
        init_cfg=dict(checkpoint='checkpoints/vgg16_hed.pth'),
    ),
    neck=dict(in_channels=(64, 128, 256), channels=((64, 64), (32, 32)), padded=True),
    head=dict(in_channels=32),
    loss=dict(start_epoch=4),
    precision='auto',
)

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='DotBoxes'),
    dict(type='RandomScaleCrop', crop_size=256, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='BoxMask'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE', rule='less'))
