# PML on the finest density of steerer_lite0_shb_cpu.py.
_base_ = ['../_base_/losses/pml.py', 'steerer_lite0_shb_cpu.py']

model = dict(head=dict(coarse=False), loss=dict(_base_.loss, _delete_=True))
train_dataloader = dict(dataset=dict(partition_stride=1))
