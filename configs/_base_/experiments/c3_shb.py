# Data of the C-3-Framework: whole images of 768 x 1024 pixels, flipped or not. Mean and deviation
# of the channels are those of its training images.
_base_ = ['../datasets/shb.py', '../default_runtime.py']

mean = [115.2643, 114.0487, 110.1554]
std = [59.2672, 57.3561, 56.5693]

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=6, dataset=dict(pipeline=train_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
