_base_ = [
    '../_base_/models/p2pnet_vgg16bn.py',
    '../_base_/datasets/sha.py',
    '../_base_/schedules/adam_3500e.py',
    '../_base_/default_runtime.py',
]

model = dict(loss=dict(type='P2PLoss', matcher=dict(type='HungarianMatcher', score='probability')))

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=128, scale_range=(0.7, 1.3)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
