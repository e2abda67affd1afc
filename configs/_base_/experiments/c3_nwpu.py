# Data of the authors' program for NWPU-Crowd: sides of 576 to 2048 pixels, crops of 576 x 768,
# flipped or not. Mean and deviation of the channels are those of its training images.
_base_ = ['../datasets/nwpu.py', '../default_runtime.py']

mean = [113.7555, 104.4225, 100.7505]
std = [73.4910, 70.9155, 72.2925]

limits = dict(type='ResizeToLimits', longest=2048, shortest=576)
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    limits,
    dict(type='RandomScaleCrop', crop_size=(576, 768), scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), limits, dict(type='PackCrowdInputs')]

train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
