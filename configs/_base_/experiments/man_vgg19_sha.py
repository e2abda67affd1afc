_base_ = [
    '../models/man_vgg19.py',
    '../datasets/sha.py',
    '../schedules/adam_1200e_constant.py',
    '../default_runtime.py',
]

# The program is for UCF-QNRF and JHU-Crowd++; its author names the size of the crops for this set.
limits = dict(type='ResizeToLimits', shortest=(512, 2048))
train_pipeline = [
    dict(type='LoadCrowdImage'),
    limits,
    dict(type='VisibleCrop', crop_size=256, scale_range=(0.75, 1.25)),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion', brightness=0, contrast=0, saturation=0, gray_prob=0.12),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), limits, dict(type='PackCrowdInputs')]

train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
