# PET (Liu et al., ICCV 2023) on VGG16-bn, as its program has it.
model = dict(
    type='PointCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=256,
    ),
    backbone=dict(
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
    neck=dict(type='FeaturePyramid', in_channels=[256, 512, 512], out_channels=256, num_outs=2),
    head=dict(type='PETHead', in_channels=[256, 256]),
    loss=dict(type='PETLoss'),
    localizer=dict(type='ProposalThreshold', score_threshold=0.5),
)
