# The VGG16-bn counter of Lin, Wan and Chan (ICLR 2025) in the widths of their program, 22.3 M
# numbers.
_base_ = 'vgg19.py'

model = dict(
    backbone=dict(
        depth=16,
        norm_cfg=dict(type='BN'),
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_bn_batch256_imagenet_20210208-7e55cd29.pth'
        ),
    )
)
