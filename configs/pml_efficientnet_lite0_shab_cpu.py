# Both parts of ShanghaiTech in one model, for photos of any kind: the model that comes with the
# package. An hour on one CPU core for 20 epochs.
_base_ = 'pml_efficientnet_lite0_shb_cpu.py'

part_a = '{{$MMCROWD_DATA_ROOT:data}}/ShanghaiTech/part_A'
part_b = '{{$MMCROWD_DATA_ROOT:data}}/ShanghaiTech/part_B'
max_epochs = 20

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=512, scale_range=(0.7, 1.4)),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackCrowdInputs'),
]
train_part = dict(
    type='ShanghaiTechDataset',
    split='train',
    pipeline=train_pipeline,
    partition_stride=_base_.model.head.out_stride,
)
val_part = dict(
    type='ShanghaiTechDataset', split='val', pipeline=_base_.test_pipeline, test_mode=True
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(train_part, data_root=part_a), dict(train_part, data_root=part_b)],
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(val_part, data_root=part_a), dict(val_part, data_root=part_b)],
    )
)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=max_epochs, end=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
