# PML on the features and the grid of p2pnet_lite0_shb_cpu.py.
_base_ = ['../_base_/losses/pml.py', 'p2pnet_lite0_shb_cpu.py']

model = dict(
    type='DensityCounter',
    head=dict(
        _delete_=True,
        type='DensityHead',
        in_channels=96,
        mid_channels=(96, 96),
        in_stride=8,
        out_stride=4,
        # Without it PML takes all density away before the features say where nobody is.
        norm_cfg=dict(type='BN'),
    ),
    loss=dict(_base_.loss, _delete_=True),
)
train_dataloader = dict(dataset=dict(partition_stride=model['head']['out_stride']))
