_base_ = [
    '../_base_/models/d2cnet_vgg16.py',
    '../_base_/datasets/sha.py',
    '../_base_/schedules/adam_1600e_constant.py',
    '../_base_/default_runtime.py',
]

# For 0, 1, 2 ... heads in a cell: one minus the share, among the cells of part A that have heads,
# of those with one head more.
weights = [0.56, 0.8, 0.89, 0.93, 0.96, 0.97, 0.98, 0.98] + [1.0] * 30

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='KeepWholePoints'),
    dict(type='RandomScaleCrop', crop_size=384, scale_range=(0.75, 0.9), scale_prob=0.5),
    dict(type='RandomFlip', prob=0.2),
    dict(type='ProbabilityMap'),
    dict(type='DrawnMap', weights=weights, spacing=3),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE', rule='less'))
