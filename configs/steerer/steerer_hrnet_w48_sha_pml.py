# PML on the finest density of STEERER.
_base_ = ['../_base_/losses/pml.py', '../_base_/experiments/steerer_hrnet_w48_sha.py']

model = dict(
    head=dict(coarse=False),
    loss=_base_.loss,
    localizer=dict(levels=(0,), blocks=(32,), distances=()),
)
train_dataloader = dict(dataset=dict(partition_stride=1))
