# Network and data of the published programs of the Bayesian loss, DM-Count and GL: crops without
# scaling, one image at a time. Schedules differ, so a config brings its own.
_base_ = [
    '../models/bl_vgg19.py',
    '../datasets/nwpu.py',
    '../default_runtime.py',
]

# The folder as downloaded: the copy of the other configs has other limits.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/NWPU-Crowd'

# Images keep to a long side of 1920 and a short one of 384 pixels; DM-Count's program also enlarges
# smaller ones to 1920, and rounds sides down to multiples of 16.
limits = dict(type='ResizeToLimits', longest=1920, shortest=384)
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    limits,
    dict(type='RandomScaleCrop', crop_size=384, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), limits, dict(type='PackCrowdInputs')]

train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root=data_root,
        pipeline=train_pipeline,
        partition_stride=_base_.model.head.out_stride,
    ),
)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
