_base_ = ['../_base_/losses/man.py', '../_base_/experiments/man_vgg19_sha.py']

model = dict(loss=_base_.loss)
