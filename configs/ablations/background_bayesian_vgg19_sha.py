# Table 7: the background term of the loss, here the posterior of eq. 12.
_base_ = '../pml_vgg19_sha.py'

model = dict(loss=dict(background='bayesian'))
