# Data of the C-3-Framework: whole images that just fit into 768 x 1024 pixels, flipped or not. Mean
# and deviation of the channels are those of its training images.
_base_ = ['../datasets/sha.py', '../default_runtime.py']

mean = [104.7603, 94.5119, 91.7189]
std = [71.0380, 68.6591, 69.2487]

resize = dict(type='ResizeToFit', size=(768, 1024))
train_pipeline = [
    dict(type='LoadCrowdImage'),
    resize,
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), resize, dict(type='PackCrowdInputs')]

train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
