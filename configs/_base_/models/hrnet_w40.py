# The HRNet-W40 counter of the program of Lin, Wan and Chan (ICLR 2025), 45.7 M numbers. The paper
# has figures of W48 only.
_base_ = 'hrnet_w48.py'

model = dict(
    backbone=dict(
        arch='w40',
        # ImageNet weights of the classification network as OpenMMLab converted them.
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/hrnet/hrnet-w40_3rdparty_8xb32_in1k_20220120-9a2dbfc5.pth'
        ),
    ),
    neck=dict(in_channels=[40, 80], out_channels=40),
    head=dict(in_channels=40, mid_channels=(40, 40)),
)
