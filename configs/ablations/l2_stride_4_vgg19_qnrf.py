# Figure 11: a density at 1/4 of the resolution of the image.
_base_ = '../l2/l2_vgg19_qnrf.py'

model = dict(head=dict(out_stride=4))
train_dataloader = dict(dataset=dict(partition_stride=model['head']['out_stride']))
