# Liang et al., IEEE TMM 2022, as their program has it: a map whose peaks are the heads.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        # Images go through at their own size; only a batch of several is padded, to its largest.
        pad_size_divisor=1,
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
    neck=dict(type='ResizeConcat'),
    head=dict(type='MapHead', in_channels=48 + 96 + 192 + 384, mid_channels=[64], in_stride=4),
    # The sum of the squared errors of a batch of 16, without the SSIM term of the paper. Left out
    # are what looks like slips: heads on one pixel that extinguish each other (drop_shared), and
    # row and column 0 drawn as row and column 1 (first_pixel).
    loss=dict(
        type='FIDTMLoss',
        source='map',
        reduction='sum',
        mse_weight=16.0,
        ssim_weight=0.0,
        tail=0.01,
        to_pixels=True,
    ),
    localizer=dict(type='LocalMaximum', mode='adaptive', floor=0.1, join=False, source='map'),
    count_from='points',
)
