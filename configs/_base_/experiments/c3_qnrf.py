# Data of the C-3-Framework: whole images of at most 1024 pixels whose sides are multiples of 16
# (rounded down here, to the nearest there), flipped or not. Mean and deviation of the channels are
# those of its training images.
_base_ = ['../datasets/qnrf.py', '../default_runtime.py']

mean = [105.4491, 96.5226, 94.7623]
std = [72.6366, 70.6468, 71.7850]

sizes = [dict(type='ResizeToLimits', longest=1024), dict(type='ResizeToMultiple', divisor=16)]
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    *sizes,
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), *sizes, dict(type='PackCrowdInputs')]

train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
