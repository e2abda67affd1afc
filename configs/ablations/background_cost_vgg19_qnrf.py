# Table 7: the cost itself as the background term.
_base_ = '../pml_vgg19_qnrf.py'

model = dict(loss=dict(background='cost'))
