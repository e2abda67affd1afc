_base_ = [
    '../_base_/models/man_vgg19.py',
    '../_base_/datasets/qnrf.py',
    '../_base_/schedules/adam_1200e_constant.py',
    '../_base_/default_runtime.py',
]

model = dict(loss=dict(type='LocalAttentionLoss', loss=dict(type='TopBayesianLoss')))

# The folder as downloaded: the copy of the other configs has other limits.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/UCF-QNRF_ECCV18'

limits = dict(type='ResizeToLimits', shortest=(512, 2048))
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    limits,
    dict(type='VisibleCrop', crop_size=512, scale_range=(0.75, 1.25)),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion', brightness=0, contrast=0, saturation=0, gray_prob=0.12),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), limits, dict(type='PackCrowdInputs')]

train_dataloader = dict(batch_size=1, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
