# The model that comes with the package: `mmcrowd count`, `CrowdInferencer()`. Both parts of
# ShanghaiTech, drawn crowds, and drawn pictures of nobody, so that not all that is small and round
# is taken for a head. All layers are trained; two hours and more on one CPU core.
_base_ = 'pml_efficientnet_lite0_shab_cpu.py'

model = dict(backbone=dict(frozen_stages=0), localizer=dict(type='OTMinimization'))

# Half of the crops as sharp as the images of a test; and the upper border, where half of the people
# of part B are, as often as the middle.
train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(
        type='RandomScaleCrop',
        crop_size=512,
        scale_range=(0.7, 1.4),
        scale_prob=0.5,
        place='centre',
    ),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackCrowdInputs'),
]
drawn = dict(
    split='train',
    img_size=(768, 576),  # width, height
    pipeline=train_pipeline,
    partition_stride=_base_.model.head.out_stride,
)
dense, sparse = (
    dict(part, pipeline=train_pipeline) for part in _base_.train_dataloader.dataset.datasets
)
train_dataloader = dict(
    dataset=dict(
        ignore_keys=['dataset_name'],  # they may have several
        datasets=[
            dense,
            dict(type='RepeatDataset', times=3, dataset=sparse),  # a fifth of the people of A
            dict(drawn, type='SyntheticCrowdDataset', num_images=60, max_count=1000),
            dict(drawn, type='SyntheticSurfaceDataset', num_images=180),
        ],
    )
)

max_epochs = 13
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=max_epochs, end=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
