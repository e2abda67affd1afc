# MCNN of the C-3-Framework: colour images, a ReLU at the end, every value repeated in 4 x 4 pixels.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=4,
    ),
    backbone=dict(
        type='MCNN', in_channels=3, init_cfg=dict(type='Normal', layer='Conv2d', std=0.01)
    ),
    head=dict(type='PerPixelHead', in_channels=30, in_stride=4),
    loss=dict(type='GaussianMSELoss'),
)
