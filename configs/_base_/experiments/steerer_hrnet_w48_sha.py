_base_ = [
    '../models/steerer_hrnet_w48.py',
    '../datasets/sha.py',
    '../schedules/adamw_300e_cosine.py',
    '../default_runtime.py',
]

# Images are enlarged twice before all else.
resize = [
    dict(type='ResizeByFactor', factor=2.0),
    dict(type='ResizeToLimits', longest=2048),
]
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    *resize,
    dict(type='RandomScaleCrop', crop_size=768, scale_range=(0.5, 2.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), *resize, dict(type='PackCrowdInputs')]

train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

max_epochs = 600
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, dict(cosine, end=max_epochs, T_max=max_epochs - 10)]
train_cfg = dict(max_epochs=max_epochs)

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
