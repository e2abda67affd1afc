# Figure 10a: the weight of the count term.
_base_ = '../pml_vgg19_qnrf.py'

model = dict(loss=dict(epsilon=2.0))
