_base_ = [
    '../_base_/models/zip_n.py',
    '../_base_/datasets/nwpu.py',
    '../_base_/schedules/adam_1300e_restarts.py',
    '../_base_/default_runtime.py',
]

bins = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]  # lowest counts
# Means of the histogram that the program publishes for its copy of the training images.
bin_centres = [*range(1, 10), 12.16108]
model = dict(
    head=dict(bin_centres=bin_centres),
    loss=dict(bins=bins),
)

# The folder as downloaded: the copy of the other configs is smaller than these limits.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/NWPU-Crowd'

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=3072, shortest=672),
    dict(type='RandomScaleCrop', crop_size=672, scale_range=(0.5, 4 / 3)),
    dict(type='RandomFlip'),
    dict(
        type='PhotoMetricDistortion', brightness=0.2, contrast=0.2, saturation=0.15, gray_prob=0.0
    ),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=3072, shortest=672),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
