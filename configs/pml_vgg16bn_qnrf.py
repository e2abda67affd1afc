_base_ = ['_base_/losses/pml.py', '_base_/experiments/vgg16bn_qnrf.py']

model = dict(loss=_base_.loss)
