# PML on the network of P2PNet: a density on the grid of its reference points (Table 5, third row).
_base_ = '../pml_vgg16bn_sha.py'

model = dict(
    neck=dict(out_channels=256, upsample='nearest', act_cfg=None),
    head=dict(in_channels=256, mid_channels=(256, 256), out_stride=4),
)
train_dataloader = dict(dataset=dict(partition_stride=model['head']['out_stride']))
