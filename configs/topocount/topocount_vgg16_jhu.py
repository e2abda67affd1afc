_base_ = [
    '../_base_/models/topocount_vgg16.py',
    '../_base_/datasets/jhu.py',
    '../_base_/schedules/adam_100e_constant.py',
    '../_base_/default_runtime.py',
]

# Persistence is that of patches at half the size.
model = dict(loss=dict(patch_size=100, halve=True))

resize = dict(type='ResizeToLimits', longest=2048)
pad = dict(type='Pad', size_divisor=16, pad_val=255, centred=True)
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    resize,
    dict(type='DotBoxes', by_box=True),
    dict(type='RandomScaleCrop', crop_size=1024, scale_range=(1.0, 1.0), enlarge=False),
    dict(type='RandomFlip'),
    pad,
    dict(type='BoxMask'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), resize, pad, dict(type='PackCrowdInputs')]
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = [
    dict(type='CountMetric', count_classes='jhu', attribute_classes='jhu'),
    dict(type='LocalizationMetric', radii='jhu'),
]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE', rule='less'))
