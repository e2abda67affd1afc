# Figure 11: how the head reaches its stride.
_base_ = '../pml_vgg19_sha.py'

model = dict(head=dict(upsample='bilinear'))
