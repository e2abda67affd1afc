# TopoCount (Abousamra et al., AAAI 2021) as its program has it: a U-Net of valid convolutions on
# VGG16 that says how likely a pixel belongs to a head.
model = dict(
    type='DensityCounter',
    # Only divided by 255, and white where it is padded.
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
        pad_size_divisor=16,
        pad_value=1,
    ),
    backbone=dict(
        type='VGGFeatures',
        depth=16,
        out_stages=(0, 1, 2, 3, 4),
        initial_padding=126,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(type='UNet', padded=False, last_skip=False),
    head=dict(type='LogitHead', in_channels=64),
    loss=dict(type='TopoCountLoss'),
    localizer=dict(
        type='ConnectedComponents',
        threshold=0.4,
        high=0.5,
        connectivity=8,
        centre='outline',
        source='probability',
    ),
    count_from='points',
    # Valid convolutions see 124 pixels to each side, so that tiles give what the whole image would.
    inference=dict(
        type='SlideInference', crop_size=1280, halo=128, min_pixels=2048 * 2048, divisor=16
    ),
)
