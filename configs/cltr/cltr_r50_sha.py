# The settings for JHU-Crowd++; its program has none for ShanghaiTech.
_base_ = [
    '../_base_/models/cltr_r50.py',
    '../_base_/datasets/sha.py',
    '../_base_/schedules/adam_1500e_step.py',
    '../_base_/default_runtime.py',
]

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=256, scale_range=(0.7, 1.3), scale_prob=0.3),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion', brightness=0, contrast=0, saturation=0, gray_prob=0.3),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
