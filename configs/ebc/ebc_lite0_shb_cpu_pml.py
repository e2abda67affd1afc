# PML on the expected counts of ebc_lite0_shb_cpu.py.
_base_ = ['../_base_/losses/pml.py', 'ebc_lite0_shb_cpu.py']

model = dict(loss=dict(_base_.loss, _delete_=True))
train_dataloader = dict(dataset=dict(partition_stride=_base_.model.head.out_stride))
