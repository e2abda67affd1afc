# Part B has Gaussians of one width, whose density keeps its mass inside of the image.
_base_ = [
    '../_base_/models/d2cnet_vgg16.py',
    '../_base_/datasets/shb.py',
    '../_base_/schedules/adam_1600e_constant.py',
    '../_base_/default_runtime.py',
]

# As for part A, of the cells of part B.
weights = [0.37, 0.81, 0.92, 0.96, 0.98] + [1.0] * 18

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='KeepWholePoints'),
    dict(type='RandomScaleCrop', crop_size=384, scale_range=(0.75, 0.9), scale_prob=0.5),
    dict(type='RandomFlip', prob=0.2),
    dict(type='ProbabilityMap', sigma=15.0, reflect=True),
    dict(type='DrawnMap', weights=weights, spacing=5, sigma=15.0),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE', rule='less'))
