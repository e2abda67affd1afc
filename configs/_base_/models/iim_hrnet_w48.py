# IIM (Gao et al., arXiv 2012.04164) on HRNet-W48, as its program has it: a map of independent heads
# and a learned threshold.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        # Of NWPU-Crowd; every data set has its own.
        mean=[113.7656, 104.4265, 100.7464],
        std=[73.4925, 70.9269, 72.2931],
        bgr_to_rgb=True,
        pad_size_divisor=16,
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
    head=dict(type='IIMHead', in_channels=48 + 96 + 192 + 384),
    loss=dict(type='IIMLoss'),
    localizer=dict(
        type='ConnectedComponents', threshold='threshold', min_area=3, to_cells=True, source='map'
    ),
    count_from='points',
    inference=dict(type='OverlapInference', crop_size=(512, 1024), whole_pixels=1024 * 2048),
)
