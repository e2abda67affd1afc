# The cost as eq. 24 has it.
_base_ = '../pml_vgg19_sha.py'

model = dict(loss=dict(cost='max_normalized'))
