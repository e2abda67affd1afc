dataset_type = 'UCFCC50Dataset'
data_root = '{{$MMCROWD_DATA_ROOT:data}}/UCF_CC_50'

# One of the five folds, 0 to 4; the folds themselves depend on the seed. Another fold is
# train_dataloader.dataset.fold=1 val_dataloader.dataset.fold=1 test_dataloader.dataset.fold=1
# after --cfg-options; tools/analysis_tools/cross_validate.py runs all of them.
fold = 0
seed = 0

crop_size = 512

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=crop_size, scale_range=(0.5, 1.5)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), dict(type='PackCrowdInputs')]

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        fold=fold,
        seed=seed,
        split='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        fold=fold,
        seed=seed,
        split='val',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        fold=fold,
        seed=seed,
        split='test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)

val_evaluator = dict(type='CountMetric')
test_evaluator = val_evaluator
