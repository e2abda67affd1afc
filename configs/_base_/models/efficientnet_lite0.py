# A light counter: EfficientNet-Lite0 up to stride 16, 1.1 million parameters.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[127.0, 127.0, 127.0],
        std=[128.0, 128.0, 128.0],
        bgr_to_rgb=True,
        pad_size_divisor=16,
    ),
    # docs/pretrained_weights.md says where the weights come from.
    backbone=dict(
        type='EfficientNetLite0',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/efficientnet_lite0.pth',
            prefix='backbone',
        ),
    ),
    # Strides 8 and 16.
    neck=dict(
        type='TopDownFusion',
        in_channels=[40, 112],
        out_channels=96,
        num_convs=1,
        norm_cfg=dict(type='BN'),
    ),
    head=dict(
        type='DensityHead',
        in_channels=96,
        mid_channels=(96, 48),
        in_stride=8,
        out_stride=4,
        norm_cfg=dict(type='BN'),
    ),
    precision='auto',  # bfloat16 where the processor has instructions for it
    channels_last=True,
)
