# MAN (Lin et al., CVPR 2022) on VGG-19, 40.4 M numbers; the loss is the config's own.
# tools/model_converters/man_from_published.py brings its checkpoints.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='VGGFeatures',
        depth=19,
        out_stages=(4,),  # before pool5, which is in the neck
        # OpenMMLab's ImageNet weights; the program starts from torchvision's.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg19_batch256_imagenet_20210208-e6920e4a.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(type='RegionAttentionEncoder', channels=512),
    head=dict(
        type='DensityHead',
        in_channels=512,
        mid_channels=(256, 128),
        in_stride=16,
        out_stride=16,
        init_cfg=dict(type='TorchDefault', layer='Conv2d'),
    ),
    # Larger images in tiles of equal size that do not overlap, as in the program: attention takes
    # memory by the square of the area.
    inference=dict(type='SlideInference', crop_size=3584, halo=0, min_pixels=0),
)
