# ShanghaiTech B within an hour on two CPU cores with AVX512-BF16: bfloat16, one 512 px crop a step.
# The backbone starts from the converted edge network, see docs/pretrained_weights.md. Neck and head
# are lighter than those of the paper.
_base_ = [
    '_base_/losses/pml_kl.py',
    '_base_/models/vgg16.py',
    '_base_/datasets/shb.py',
    '_base_/schedules/cpu_1h.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(frozen_stages=1, init_cfg=dict(checkpoint='checkpoints/vgg16_hed.pth')),
    head=dict(mid_channels=(128, 64), out_stride=4),
    loss=_base_.loss,
    precision='auto',
)

# The images are 1024 x 768. One large crop rather than several small ones, because people whom its
# edge cuts in two teach wrong counts.
train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=512, scale_range=(0.8, 1.25)),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(
    batch_size=1,
    num_workers=1,
    dataset=dict(pipeline=train_pipeline, partition_stride=model['head']['out_stride']),
)
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)

default_hooks = dict(logger=dict(interval=20))
