# LSC-CNN (Sam et al., TPAMI 2020) on VGG16: boxes at four scales.
# tools/model_converters/lsc_cnn_from_published.py brings its checkpoints.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=16,
    ),
    backbone=dict(
        type='VGGSideBranches',
        depth=16,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(type='TopDownModulation', in_channels=(64, 128, 256, 512)),
    head=dict(type='LSCHead', in_channels=(256, 384, 512, 256), centred=True),
    # What tools/misc/box_class_weights.py gives for ShanghaiTech, but for a factor of each scale,
    # which its weighted mean cancels.
    loss=dict(type='GridWTALoss', class_weights=[[10.0, 10.0, 10.0, 1.0]] * 4),
    localizer=dict(type='ScaleBoxNMS', overlap=0.21),
    count_from='points',
)
