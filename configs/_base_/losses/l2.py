# Zhang et al., CVPR 2016: squared error to dots blurred by Gaussians.
loss = dict(type='GaussianL2Loss', sigma=4.0)
