_base_ = [
    '../_base_/models/steerer_hrnet_w48.py',
    '../_base_/datasets/shb.py',
    '../_base_/schedules/adamw_300e_cosine.py',
    '../_base_/default_runtime.py',
]

model = dict(loss=dict(type='MSILoss'))

# Images are enlarged twice before all else.
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeByFactor', factor=2.0),
    dict(type='RandomScaleCrop', crop_size=768, scale_range=(0.5, 2.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeByFactor', factor=2.0),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
