# The VGG16-bn form, with a feature pyramid; its threshold is trained at 2e-7.
_base_ = 'iim_hrnet_w48_nwpu.py'

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
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'head.threshold': dict(lr_mult=0.02, decay_mult=0.0)})
)
