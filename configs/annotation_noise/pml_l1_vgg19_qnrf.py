_base_ = ['../_base_/losses/pml.py', '../_base_/experiments/vgg19_qnrf_noise.py']

model = dict(loss=_base_.loss)
