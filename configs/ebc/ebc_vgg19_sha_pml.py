# PML trains the expected counts of the blocks, and the bins through them alone.
_base_ = ['../_base_/losses/pml.py', 'ebc_vgg19_sha.py']

model = dict(loss=dict(_base_.loss, _delete_=True))
train_dataloader = dict(dataset=dict(partition_stride=_base_.model.head.out_stride))
