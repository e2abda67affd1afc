# The regressor of D2CNet by itself, on drawn maps of heads: a first stage that is ours. Its
# checkpoint starts the whole network:
# tools/train.py configs/d2cnet/d2cnet_vgg16_sha.py --cfg-options load_from=CHECKPOINT
_base_ = '../_base_/default_runtime.py'

model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor', mean=[0.0], std=[255.0], to_gray=True, pad_size_divisor=32
    ),
    backbone=dict(type='Identity'),
    head=dict(type='MapCountHead'),
    loss=dict(type='D2CLoss', probability_weight=0.0),
    count_from='count',
)

weights = [0.56, 0.8, 0.89, 0.93, 0.96, 0.97, 0.98, 0.98] + [1.0] * 30  # of d2cnet_vgg16_sha.py
train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='KeepWholePoints'),
    dict(type='RandomScaleCrop', crop_size=384, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='ProbabilityMap'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), dict(type='PackCrowdInputs')]
dataset = dict(type='SyntheticDotsDataset', weights=weights, spacing=3)
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(num_images=1000, split='train', pipeline=train_pipeline, **dataset),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(num_images=40, split='val', pipeline=test_pipeline, test_mode=True, **dataset),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(num_images=100, split='test', pipeline=test_pipeline, test_mode=True, **dataset),
)
val_evaluator = dict(type='CountMetric')
test_evaluator = val_evaluator

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
train_cfg = dict(by_epoch=True, max_epochs=20)
val_cfg = dict()
test_cfg = dict()
