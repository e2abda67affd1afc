_base_ = [
    '../_base_/models/p2pnet_vgg16bn.py',
    '../_base_/datasets/ucf_cc_50.py',
    '../_base_/schedules/adam_3500e.py',
    '../_base_/default_runtime.py',
]

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=128, scale_range=(0.7, 1.3)),
    dict(type='RandomFlip'),
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

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
