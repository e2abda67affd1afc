# The HRNet-W44 counter of the program of Lin, Wan and Chan (ICLR 2025), 55.1 M numbers. The paper
# has figures of W48 only.
_base_ = 'hrnet_w48.py'

model = dict(
    backbone=dict(
        arch='w44',
        # ImageNet weights of the classification network as OpenMMLab converted them.
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/hrnet/hrnet-w44_3rdparty_8xb32_in1k_20220120-35d07f73.pth'
        ),
    ),
    neck=dict(in_channels=[44, 88], out_channels=44),
    head=dict(in_channels=44, mid_channels=(44, 44)),
)
