# What the networks of IIM share on ShanghaiTech A.
_base_ = [
    '../datasets/sha.py',
    '../schedules/adam_600e_poly.py',
    '../default_runtime.py',
]

pixels = dict(mean=[104.7603, 94.5119, 91.7189], std=[71.038, 68.6591, 69.2487])

resize = [
    dict(type='ResizeByFactor', factor=2.0),
    dict(type='ResizeToMultiple', divisor=16),
]
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    *resize,
    dict(type='PseudoBoxes'),
    dict(type='SeparateBoxes', least=1, rounds=51, narrow_gap=False, next_gap=None),
    dict(type='RandomScaleCrop', crop_size=(512, 1024), scale_range=(0.8, 1.2)),
    dict(type='RandomFlip'),
    dict(type='BoxMask'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), *resize, dict(type='PackCrowdInputs')]
train_dataloader = dict(batch_size=6, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator

default_hooks = dict(checkpoint=dict(save_best='loc/F1@8', rule='greater'))
