# PML on the density of MAN, beside the regularisation of its attention.
_base_ = ['../_base_/losses/pml.py', '../_base_/experiments/man_vgg19_sha.py']

model = dict(loss=dict(type='LocalAttentionLoss', loss=_base_.loss))

# All points in the crop, and none beside it, are one person each.
load, limits, _, *rest = _base_.train_pipeline
crop = dict(type='RandomScaleCrop', crop_size=256, scale_range=(0.75, 1.25))
train_dataloader = dict(
    dataset=dict(
        pipeline=[load, limits, crop, *rest],
        partition_stride=_base_.model.head.out_stride,
    )
)
