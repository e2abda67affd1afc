# STEERER (Han et al., ICCV 2023) on HRNet-W48; tools/model_converters/steerer_from_published.py
# brings its checkpoints. The loss is the config's own.
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
        last_exchange=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/hrnet/hrnet-w48_3rdparty_8xb32_in1k_20220120-e555ef50.pth',
            prefix='backbone',
        ),
    ),
    head=dict(type='STEERERHead', in_channels=(48, 96, 192, 384)),
    localizer=dict(type='BlockMaximum', threshold=0.2),
)
