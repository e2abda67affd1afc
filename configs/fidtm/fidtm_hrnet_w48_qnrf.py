_base_ = [
    '../_base_/models/fidtm_hrnet_w48.py',
    '../_base_/datasets/qnrf.py',
    '../_base_/schedules/adam_3000e_constant.py',
    '../_base_/default_runtime.py',
]

# The folder as downloaded: the copy of the other configs is smaller than these limits.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/UCF-QNRF_ECCV18'
longest = 2048

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=longest, shortest=512),
    dict(type='RandomScaleCrop', crop_size=512, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=longest, shortest=1024),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

# Their training program also smooths the map before the search (smooth=3), their test program not.
val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='qnrf')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
