# After Wan, Wang and Chan, TPAMI 2020; generator and weights are our reading of it.
loss = dict(type='KDMGLoss')
