# IIM on VGG16-bn with a feature pyramid.
_base_ = 'iim_hrnet_w48.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='VGGFeatures',
        depth=16,
        out_stages=(2, 3, 4),
        norm_cfg=dict(type='BN'),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_bn_batch256_imagenet_20210208-7e55cd29.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(_delete_=True, type='PyramidConcat', in_channels=[256, 512, 512]),
    head=dict(
        in_channels=3 * 256,
        norm_cfg=dict(type='BN'),
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01),
    ),
)
