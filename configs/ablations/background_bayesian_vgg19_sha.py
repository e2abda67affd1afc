# Table 7: the background term of the loss.
_base_ = '../pml_vgg19_sha.py'

model = dict(loss=dict(background='bayesian'))
