# What the networks of IIM share on JHU-Crowd++.
_base_ = [
    '../datasets/jhu.py',
    '../schedules/adam_600e_poly.py',
    '../default_runtime.py',
]

pixels = dict(mean=[109.5694, 111.4618, 107.6046], std=[60.0651, 59.3049, 60.0767])

# The folder as downloaded: the copy of the other configs is smaller.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/jhu_crowd_v2.0'

resize = [
    dict(type='ResizeToLimits', shortest=768),
    dict(type='ResizeToMultiple', divisor=16),
]
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    *resize,
    dict(type='SeparateBoxes', limits=(3, 15)),
    dict(type='RandomScaleCrop', crop_size=(512, 1024), scale_range=(0.8, 1.2)),
    dict(type='RandomFlip'),
    dict(type='BoxMask'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), *resize, dict(type='PackCrowdInputs')]
train_dataloader = dict(batch_size=6, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

val_evaluator = [
    dict(type='CountMetric', count_classes='jhu', attribute_classes='jhu'),
    dict(type='LocalizationMetric', radii='jhu'),
]
test_evaluator = val_evaluator

default_hooks = dict(checkpoint=dict(save_best='loc/F1@8', rule='greater'))
