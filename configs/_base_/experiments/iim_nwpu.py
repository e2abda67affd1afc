# What the networks of IIM share on NWPU-Crowd.
_base_ = [
    '../datasets/nwpu.py',
    '../schedules/adam_600e_poly.py',
    '../default_runtime.py',
]

resize = [
    dict(type='ResizeToLimits', longest=2048),
    dict(type='ResizeToMultiple', divisor=16),
]
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    *resize,
    dict(type='SeparateBoxes'),
    dict(type='RandomScaleCrop', crop_size=(512, 1024), scale_range=(0.8, 1.2)),
    dict(type='RandomFlip'),
    dict(type='BoxMask'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), *resize, dict(type='PackCrowdInputs')]
train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = [
    dict(type='CountMetric', count_classes='nwpu', attribute_classes='nwpu'),
    dict(type='LocalizationMetric', radii='nwpu'),
]
test_evaluator = val_evaluator

default_hooks = dict(checkpoint=dict(save_best='loc/F1@sigma_l', rule='greater'))
