_base_ = [
    '../_base_/models/p2pnet_vgg16bn.py',
    '../_base_/datasets/qnrf.py',
    '../_base_/schedules/adam_3500e.py',
    '../_base_/default_runtime.py',
]

longest = 1408

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=longest),
    dict(type='RandomScaleCrop', crop_size=128, scale_range=(0.7, 1.3)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=longest),
    dict(type='PackCrowdInputs'),
]
# Four crops of each image in an epoch: a batch is as large as eight images with four each.
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=4,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
