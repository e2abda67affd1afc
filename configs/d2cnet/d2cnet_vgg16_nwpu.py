_base_ = [
    '../_base_/models/d2cnet_vgg16.py',
    '../_base_/datasets/nwpu.py',
    '../_base_/schedules/adam_1600e_constant.py',
    '../_base_/default_runtime.py',
]

# As for ShanghaiTech A, of the cells of the validation images. Their points are in the benchmark's
# localization files, their sizes are not: the longer side was taken to end at the outermost point.
weights = [0.35, 0.83, 0.93, 0.97, 0.98] + [0.99] * 3 + [1.0] * 33

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=_base_.longest),
    dict(type='KeepWholePoints'),
    dict(type='RandomScaleCrop', crop_size=384, scale_range=(0.75, 0.9), scale_prob=0.5),
    dict(type='RandomFlip', prob=0.2),
    dict(type='ProbabilityMap'),
    dict(type='DrawnMap', weights=weights, spacing=3),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=_base_.longest),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = [
    dict(type='CountMetric', count_classes='nwpu', attribute_classes='nwpu'),
    dict(type='LocalizationMetric', radii='nwpu'),
]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE', rule='less'))
