# Section 3: the L2 form of eq. 13, with the epsilon that it needs.
_base_ = ['../_base_/losses/pml_l2.py', '../_base_/experiments/vgg19_qnrf.py']

model = dict(loss=_base_.loss)
