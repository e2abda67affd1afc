# Network and data of the published programs of the Bayesian loss, DM-Count and GL: crops without
# scaling, one image at a time. Schedules differ, so a config brings its own.
_base_ = [
    '../models/bl_vgg19.py',
    '../datasets/sha.py',
    '../default_runtime.py',
]

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=256, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(
    batch_size=1,
    dataset=dict(pipeline=train_pipeline, partition_stride=_base_.model.head.out_stride),
)
