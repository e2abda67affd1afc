# A lighter counter than the authors' (hrnet_w48.py): HRNet-W18, whose branches are enlarged by
# repeating cells, with a neck and a head of more channels than its branches.
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
        type='mmpretrain.HRNet',
        arch='w18',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/hrnet/hrnet-w18_3rdparty_8xb32_in1k_20220120-0c10b180.pth',
            prefix='backbone',
        ),
    ),
    # The first two of the four branches: strides 4 and 8.
    neck=dict(
        type='TopDownFusion',
        in_channels=[18, 36],
        out_channels=256,
        num_convs=2,
        norm_cfg=dict(type='BN'),
    ),
    head=dict(type='DensityHead', in_channels=256, in_stride=4, out_stride=2),
    precision='fp32',  # 'bf16': autocast and channels-last, see docs/speed.md
)

# HRNet fuses all four branches at its end, and the neck takes two: the others get no gradient.
find_unused_parameters = True
