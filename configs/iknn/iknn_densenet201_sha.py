_base_ = [
    '../_base_/models/iknn_densenet201.py',
    '../_base_/datasets/sha.py',
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
train_dataloader = dict(batch_size=40, dataset=dict(pipeline=train_pipeline))

# The program goes by steps: a hundred thousand of 40 patches, 6 of which see each image once.
max_epochs = 16000
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=1, val_interval=100)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=100, save_best='count/MAE', rule='less'))
