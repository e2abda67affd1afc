# Section 3: the norm of the count term.
_base_ = '../pml_vgg19_sha.py'

model = dict(loss=dict(norm='l2'))
