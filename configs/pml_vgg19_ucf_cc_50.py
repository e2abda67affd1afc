_base_ = ['_base_/losses/pml.py', '_base_/experiments/vgg19_ucf_cc_50.py']

model = dict(loss=_base_.loss)
