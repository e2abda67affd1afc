_base_ = '../_base_/experiments/man_vgg19_sha.py'

model = dict(loss=dict(type='LocalAttentionLoss', loss=dict(type='TopBayesianLoss')))
