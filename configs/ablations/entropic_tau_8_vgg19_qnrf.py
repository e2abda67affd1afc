# Table 6: the KL form with a finite tau, eq. 35.
_base_ = '../pml_vgg19_qnrf.py'

model = dict(loss=dict(norm='kl', tau=8.0))
