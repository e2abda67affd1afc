_base_ = [
    '../_base_/models/d2cnet_vgg16.py',
    '../_base_/datasets/qnrf.py',
    '../_base_/schedules/adam_1600e_constant.py',
    '../_base_/default_runtime.py',
]

# The folder as downloaded: the copy of the other configs is smaller.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/UCF-QNRF_ECCV18'

# As for ShanghaiTech A, of the cells of UCF-QNRF.
weights = [0.55, 0.8, 0.89, 0.93, 0.95, 0.97, 0.98, 0.98] + [1.0] * 33

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=1920),
    dict(type='KeepWholePoints'),
    dict(type='RandomScaleCrop', crop_size=384, scale_range=(0.75, 0.9), scale_prob=0.5),
    dict(type='RandomFlip', prob=0.2),
    dict(type='ProbabilityMap'),
    dict(type='DrawnMap', weights=weights, spacing=3),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=1920),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=1, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='qnrf')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE', rule='less'))
