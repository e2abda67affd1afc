_base_ = [
    '../_base_/models/ebc_vgg19.py',
    '../_base_/datasets/nwpu.py',
    '../_base_/schedules/adam_2600e_restarts.py',
    '../_base_/default_runtime.py',
]

# Mean counts of the bins in the program's copy of the training images, as it publishes them.
model = dict(head=dict(bin_centres=[0, 1, 2, 3, 4.21931]))

# The folder as downloaded: the copy of the other configs is smaller than these limits.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/NWPU-Crowd'

limits = dict(type='ResizeToLimits', longest=3072, shortest=448)
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    limits,
    dict(type='RandomScaleCrop', crop_size=448, scale_range=(0.5, 1.0)),
    dict(type='RandomFlip'),
    dict(
        type='RandomApply',
        transforms=dict(
            type='PhotoMetricDistortion', brightness=0.1, contrast=0.1, saturation=0.1, gray_prob=0
        ),
        prob=0.2,
    ),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), limits, dict(type='PackCrowdInputs')]
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
