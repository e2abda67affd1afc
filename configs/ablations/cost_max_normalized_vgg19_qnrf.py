# The cost as eq. 24 of the paper has it; the program of its authors has another.
_base_ = '../pml_vgg19_qnrf.py'

model = dict(loss=dict(cost='max_normalized'))
