# Drawn crowds: nothing to download.
dataset_type = 'SyntheticCrowdDataset'
img_size = (384, 288)  # width, height

# Whole images as they are: resized ones lack their noise, and crops cut people in two.
train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), dict(type='PackCrowdInputs')]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        num_images=400,
        split='train',
        img_size=img_size,
        cache=True,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        num_images=40,
        split='val',
        img_size=img_size,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        num_images=100,
        split='test',
        seed=1,
        img_size=img_size,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)

val_evaluator = dict(type='CountMetric')
test_evaluator = val_evaluator
