_base_ = [
    '../_base_/models/iknn_densenet201.py',
    '../_base_/datasets/ucf_cc_50.py',
    '../_base_/schedules/adam_16000e_constant.py',
    '../_base_/default_runtime.py',
]

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='KeepWholePoints'),
    dict(type='RandomScaleCrop', crop_size=224, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    # Does nothing to crops of the size that the network takes.
    dict(type='Pad', size_divisor=224),
    dict(type='InverseNeighbourMap', k=1),
    dict(type='PackCrowdInputs'),
]
# A batch has more patches than there are images, so that each image gives ten in an epoch.
train_dataloader = dict(
    batch_size=40,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=10,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
    ),
)

# A hundred thousand steps, as for ShanghaiTech A: 9 an epoch.
max_epochs = 11000
train_cfg = dict(max_epochs=max_epochs)

default_hooks = dict(checkpoint=dict(interval=100, save_best='count/MAE', rule='less'))
