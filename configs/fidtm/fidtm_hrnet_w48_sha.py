_base_ = [
    '../_base_/models/fidtm_hrnet_w48.py',
    '../_base_/datasets/sha.py',
    '../_base_/schedules/adam_3000e_constant.py',
    '../_base_/default_runtime.py',
]

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=256, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
