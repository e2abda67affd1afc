# Zhang et al., CVPR 2016: the Gaussians are as wide as the crowd is sparse.
loss = dict(type='GaussianL2Loss', sigma='adaptive', beta=0.1, max_sigma=15.0)
