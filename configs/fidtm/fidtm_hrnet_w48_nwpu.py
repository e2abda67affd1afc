_base_ = [
    '../_base_/models/fidtm_hrnet_w48.py',
    '../_base_/datasets/nwpu.py',
    '../_base_/schedules/adam_3000e_constant.py',
    '../_base_/default_runtime.py',
]

# The program has no preparation of NWPU-Crowd: these limits are those of JHU-Crowd++.
longest = 2048
shortest = 512

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=longest, shortest=shortest),
    dict(type='RandomScaleCrop', crop_size=512, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=longest, shortest=shortest),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = [
    dict(type='CountMetric', count_classes='nwpu', attribute_classes='nwpu'),
    dict(type='LocalizationMetric', radii='nwpu'),
]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
