_base_ = [
    '../_base_/models/topocount_vgg16.py',
    '../_base_/datasets/sha.py',
    '../_base_/schedules/adam_100e_constant.py',
    '../_base_/default_runtime.py',
]

model = dict(loss=dict(patch_size=50, start_epoch=30))

# Whole images, one at a time, in the middle of a white frame.
pad = dict(type='Pad', size_divisor=16, pad_val=255, centred=True)
train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='DotBoxes'),
    dict(type='RandomFlip'),
    pad,
    dict(type='BoxMask'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), pad, dict(type='PackCrowdInputs')]
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='count/MAE', rule='less'))
