# The HRNet-W48 counter of Lin, Wan and Chan (ICLR 2025) in the widths of their program, 65.5 M
# numbers; tools/model_converters/pml_from_published.py brings its checkpoints.
#
# The layers after the backbone start as in vgg19.py. Their program has a momentum of 0.01 in the
# batch normalisation of the backbone, PyTorch's 0.1 in that of the neck.
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
        type='HRNetBilinear',
        arch='w48',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/hrnet/hrnet-w48_3rdparty_8xb32_in1k_20220120-e555ef50.pth',
            prefix='backbone',
        ),
    ),
    # The first two of the four branches: strides 4 and 8.
    neck=dict(
        type='TopDownFusion',
        in_channels=[48, 96],
        out_channels=48,
        num_convs=2,
        norm_cfg=dict(type='BN'),
        lateral_bias=False,
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
        in_channels=48,
        mid_channels=(48, 48),
        in_stride=4,
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

# HRNet fuses all four branches at its end, and the neck takes two: the others get no gradient.
find_unused_parameters = True
