# Table 6: the KL form of eq. 23, whose tau is the weight of the count term.
_base_ = '../pml_vgg19_qnrf.py'

model = dict(loss=dict(norm='kl', epsilon=2.0))
