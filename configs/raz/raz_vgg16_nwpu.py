_base_ = [
    '../_base_/models/raz_vgg16.py',
    '../_base_/datasets/nwpu.py',
    '../_base_/schedules/adam_2000e_constant.py',
    '../_base_/default_runtime.py',
]

resize = [
    dict(type='ResizeToLimits', longest=2048),
    dict(type='ResizeToMultiple', divisor=16),
]
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    *resize,
    dict(type='RandomScaleCrop', crop_size=(576, 768), scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion', brightness=0.0, contrast=0.0, saturation=0.0, gray_prob=0.1),
    dict(type='RandomGamma', prob=0.5, gamma_range=(0.4, 2.0)),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), *resize, dict(type='PackCrowdInputs')]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = [
    dict(type='CountMetric', count_classes='nwpu', attribute_classes='nwpu'),
    dict(type='LocalizationMetric', radii='nwpu'),
]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='loc/F1@sigma_l', rule='greater'))
