_base_ = ['../_base_/losses/gcfl.py', '../_base_/experiments/vgg19_sha.py']

model = dict(loss=_base_.loss)
