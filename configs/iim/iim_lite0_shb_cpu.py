# IIM in small, for laptops. As in the large one images are enlarged to twice their size.
_base_ = '../_base_/experiments/lite0_shb_cpu.py'

model = dict(
    backbone=dict(out_indices=(2, 3, 4)),
    neck=dict(type='ResizeConcat'),
    head=dict(type='IIMHead', in_channels=24 + 40 + 112),
    loss=dict(type='IIMLoss'),
    localizer=dict(
        type='ConnectedComponents', threshold='threshold', min_area=3, to_cells=True, source='map'
    ),
    count_from='points',
)

resize = [dict(type='ResizeByFactor', factor=2.0), dict(type='ResizeToMultiple', divisor=16)]
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    *resize,
    dict(type='PseudoBoxes'),
    dict(type='SeparateBoxes', least=1, next_gap=None),
    dict(type='RandomScaleCrop', crop_size=512, scale_range=(0.8, 1.2)),
    dict(type='RandomFlip'),
    dict(type='BoxMask'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), *resize, dict(type='PackCrowdInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='loc/F1@8', rule='greater'))
# The threshold at its own rate, as in the large one.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'head.threshold': dict(lr_mult=0.1, decay_mult=0.0)})
)
