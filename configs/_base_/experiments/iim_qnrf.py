# What the networks of IIM share on UCF-QNRF.
_base_ = [
    '../datasets/qnrf.py',
    '../schedules/adam_600e_poly.py',
    '../default_runtime.py',
]

pixels = dict(mean=[105.4491, 96.5226, 94.7623], std=[72.6366, 70.6468, 71.785])

# The folder as downloaded: the copy of the other configs is smaller.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/UCF-QNRF_ECCV18'

resize = [
    dict(type='ResizeToLimits', shortest=768),
    dict(type='ResizeToMultiple', divisor=16),
]
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    *resize,
    dict(type='PseudoBoxes'),
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

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='qnrf')]
test_evaluator = val_evaluator

max_epochs = 1000
param_scheduler = [dict(_base_.param_scheduler[0], end=max_epochs)]
train_cfg = dict(max_epochs=max_epochs)

default_hooks = dict(checkpoint=dict(save_best='loc/F1@1-100', rule='greater'))
