# Figure 10b: input pixels per density cell.
_base_ = '../pml_vgg19_sha.py'

model = dict(head=dict(out_stride=1))
train_dataloader = dict(dataset=dict(partition_stride=model['head']['out_stride']))
