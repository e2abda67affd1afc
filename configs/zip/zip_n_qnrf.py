_base_ = [
    '../_base_/models/zip_n.py',
    '../_base_/datasets/qnrf.py',
    '../_base_/schedules/adam_1300e_restarts.py',
    '../_base_/default_runtime.py',
]

bins = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 21, 24, 27, 30, 34]  # lowest counts
# Means of the histogram that the program publishes for its copy of the training images.
bin_centres = [
    *range(1, 11),
    11.43099,
    13.43258,
    15.4363,
    17.43793,
    19.43464,
    21.83133,
    24.84966,
    27.87193,
    31.24307,
    38.85723,
]
model = dict(
    neck=dict(num_doublings=0),  # blocks of 32 pixels
    head=dict(bin_centres=bin_centres, out_stride=32),
    loss=dict(bins=bins),
)

# The folder as downloaded: the copy of the other configs is smaller than these limits.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/UCF-QNRF_ECCV18'

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=2048, shortest=672),
    dict(type='RandomScaleCrop', crop_size=672, scale_range=(0.5, 4 / 3)),
    dict(type='RandomFlip'),
    dict(
        type='PhotoMetricDistortion', brightness=0.15, contrast=0.15, saturation=0.1, gray_prob=0.0
    ),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=2048, shortest=672),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
