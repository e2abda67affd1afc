# What the small counters of tools/analysis_tools/compare_configs.py share: EfficientNet-Lite0 with
# ImageNet weights (docs/pretrained_weights.md), ShanghaiTech B, two crops of 512 pixels a step, 720
# steps, bfloat16. Neck, head and loss are the config's own.
_base_ = [
    '../datasets/shb.py',
    '../schedules/cpu_1h.py',
    '../default_runtime.py',
]

model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[127.0, 127.0, 127.0],
        std=[128.0, 128.0, 128.0],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='EfficientNetLite0',
        # Two crops are too few for statistics of batch normalisation.
        frozen_stages=3,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='checkpoints/efficientnet_lite0.pth', prefix='backbone'
        ),
    ),
    precision='auto',
    channels_last=True,
)

crop = dict(type='RandomScaleCrop', crop_size=512, scale_range=(0.8, 1.25))
train_pipeline = [
    dict(type='LoadCrowdImage'),
    crop,
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=2, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)

max_epochs = 4
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.4))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=max_epochs, end=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
default_hooks = dict(logger=dict(interval=20))
