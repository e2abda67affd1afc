dataset_type = 'NWPUCrowdDataset'
# The copy that tools/dataset_converters/prepare.py nwpu writes. The folder as downloaded works too:
# tools/train.py CONFIG --data-root data/NWPU-Crowd
data_root = '{{$MMCROWD_DATA_ROOT:data}}/prepared/NWPU-Crowd'

longest = 2048  # the longest side in training and test, as in the benchmark's programs
crop_size = 512

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=longest),
    dict(type='RandomScaleCrop', crop_size=crop_size, scale_range=(0.5, 1.5)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=longest),
    dict(type='PackCrowdInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type, data_root=data_root, split='val', pipeline=test_pipeline, test_mode=True
    ),
)
# The annotation of the test images is not published. For a submission of their predictions:
# tools/test.py CONFIG CHECKPOINT --submission-dir FOLDER \
#     --cfg-options test_dataloader.dataset.split=test test_evaluator="[]"
test_dataloader = val_dataloader

val_evaluator = dict(type='CountMetric', count_classes='nwpu', attribute_classes='nwpu')
test_evaluator = val_evaluator
