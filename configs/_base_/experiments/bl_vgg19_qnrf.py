# Network and data of the published programs of the Bayesian loss, DM-Count and GL: crops without
# scaling, one image at a time. Schedules differ, so a config brings its own.
_base_ = [
    '../models/bl_vgg19.py',
    '../datasets/qnrf.py',
    '../default_runtime.py',
]

# The folder as downloaded: the copy of the other configs has other limits.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/UCF-QNRF_ECCV18'

# The short side is brought into 512 to 2048 pixels, in training and test.
limits = dict(type='ResizeToLimits', shortest=(512, 2048))
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    limits,
    dict(type='RandomScaleCrop', crop_size=512, scale_range=(1.0, 1.0)),
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
