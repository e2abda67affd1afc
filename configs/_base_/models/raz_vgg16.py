# The localization branch of RAZNet (Liu, Weng and Mu, CVPR 2019) as in the sample code of
# NWPU-Crowd: every pixel is background or head.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[113.7656, 104.4265, 100.7464],
        std=[73.4925, 70.9269, 72.2931],
        bgr_to_rgb=True,
        pad_size_divisor=16,
    ),
    backbone=dict(
        type='VGGFeatures',
        depth=16,
        out_stages=(3,),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone',
        ),
    ),
    head=dict(type='RAZHead', in_channels=512, in_stride=8),
    loss=dict(type='DotCrossEntropyLoss', head_weight=100.0),
    localizer=dict(
        type='LocalMaximum',
        mode='absolute',
        threshold=0.5,
        smooth=3,
        join=False,
        source='probability',
    ),
    count_from='points',
    inference=dict(type='OverlapInference', crop_size=(576, 768)),
)
