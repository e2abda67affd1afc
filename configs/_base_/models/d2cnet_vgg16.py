# D2CNet (Cheng et al., IEEE TIP 2021) on VGG16: a probability of a head at every pixel, and from it
# alone the count of every 32 x 32 pixels.
model = dict(
    type='TwoStageCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    # The regressor starts from the same weights.
    backbone=dict(
        type='VGGFeatures',
        depth=16,
        out_stages=(0, 1, 2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(
        type='UNet',
        channels=((512, 256), (256, 128), (128, 64), (64,)),
        upsample='bilinear_corners',
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01),
    ),
    head=dict(type='D2CHead', in_channels=64),
    loss=dict(type='D2CLoss'),
    localizer=dict(
        type='CountGuidedPeaks', cell=32, counts='count', spare_votes=True, source='probability'
    ),
    count_from='count',
)
