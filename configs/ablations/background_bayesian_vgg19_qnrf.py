# Table 7: the posterior q of eq. 12 as the background term.
_base_ = '../pml_vgg19_qnrf.py'

model = dict(loss=dict(background='bayesian'))
