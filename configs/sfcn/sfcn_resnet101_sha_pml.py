# PML on the network of SFCN, with the schedule and crops of PML.
_base_ = [
    '../_base_/losses/pml.py',
    '../_base_/models/sfcn_resnet101.py',
    '../_base_/datasets/sha.py',
    '../_base_/schedules/adam_3000e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(out_stride=8), loss=dict(_base_.loss, _delete_=True))
train_dataloader = dict(dataset=dict(partition_stride=model['head']['out_stride']))
