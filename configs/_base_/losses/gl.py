# Wan, Liu and Chan, CVPR 2021.
loss = dict(type='GeneralizedLoss')
