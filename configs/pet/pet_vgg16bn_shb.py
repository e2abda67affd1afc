_base_ = [
    '../_base_/models/pet_vgg16bn.py',
    '../_base_/datasets/shb.py',
    '../_base_/schedules/adamw_1500e.py',
    '../_base_/default_runtime.py',
]

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=256, scale_range=(0.8, 1.2)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
