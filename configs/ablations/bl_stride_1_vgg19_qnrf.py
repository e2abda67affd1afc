# Figure 11: a density at the resolution of the image.
_base_ = '../bl/bl_vgg19_qnrf.py'

model = dict(head=dict(out_stride=1))
train_dataloader = dict(dataset=dict(partition_stride=model['head']['out_stride']))
