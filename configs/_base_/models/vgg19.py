# The VGG-19 counter of Lin, Wan and Chan (ICLR 2025) in the widths of their program, 27.6 M
# numbers; tools/model_converters/pml_from_published.py brings its checkpoints.
#
# The layers after the backbone start as theirs, which is PyTorch's default: uniform with a variance
# of 1 / (3 fan_in), biases at 0.
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
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg19_batch256_imagenet_20210208-e6920e4a.pth',
            prefix='backbone',
        ),
    ),
    # Before pool4 (stride 8) and before pool5 (stride 16).
    neck=dict(
        type='TopDownFusion',
        in_channels=[512, 512],
        out_channels=512,
        init_cfg=dict(
            type='Kaiming',
            layer='Conv2d',
            a=5**0.5,
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform',
        ),
    ),
    head=dict(
        type='DensityHead',
        in_channels=512,
        mid_channels=(512, 512),
        in_stride=8,
        out_stride=2,
        init_cfg=dict(
            type='Kaiming',
            layer='Conv2d',
            a=5**0.5,
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform',
        ),
    ),
    precision='fp32',  # 'bf16': autocast and channels-last, see docs/speed.md
)
