# Figure 10b: bilinear upsampling in the place of the pixel shuffle.
_base_ = '../pml_vgg19_qnrf.py'

model = dict(head=dict(upsample='bilinear'))
