# Wan and Chan, NeurIPS 2020.
loss = dict(type='NoiseCCLoss', noise_sigma=8.0, kernel_sigma=8.0, noise_weight=0.01)
