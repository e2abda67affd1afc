# PML on the network of sfcn_lite0_shb_cpu.py, at stride 8.
_base_ = ['../_base_/losses/pml.py', 'sfcn_lite0_shb_cpu.py']

model = dict(head=dict(out_stride=8), loss=dict(_base_.loss, _delete_=True))
train_dataloader = dict(dataset=dict(partition_stride=model['head']['out_stride']))
