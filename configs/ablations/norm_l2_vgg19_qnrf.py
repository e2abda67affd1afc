# Section 3: the L2 form of eq. 13.
_base_ = '../pml_vgg19_qnrf.py'

model = dict(loss=dict(norm='l2'))
