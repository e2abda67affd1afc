_base_ = ['../_base_/losses/gcfl.py', '../_base_/experiments/vgg19_shb.py']

model = dict(loss=_base_.loss)
