# ShanghaiTech B within an hour on two CPU cores: bfloat16, two 512 px crops a step.
_base_ = [
    '_base_/losses/pml_kl.py',
    '_base_/models/efficientnet_lite0.py',
    '_base_/datasets/shb.py',
    '_base_/schedules/cpu_1h.py',
    '_base_/default_runtime.py',
]

# Two crops are too few for statistics of batch normalisation: the backbone keeps those of ImageNet,
# and the layers after it are fixed after the first epoch (FreezeNormHook, in the schedule). The
# first three stages, up to stride 4, take half of a step's time and are not trained.
model = dict(backbone=dict(frozen_stages=3, norm_eval=True), loss=_base_.loss)

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=512, scale_range=(0.8, 1.25)),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    dataset=dict(pipeline=train_pipeline, partition_stride=_base_.model.head.out_stride),
)
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)

optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.4))),
)
default_hooks = dict(logger=dict(interval=20))
