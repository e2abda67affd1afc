# Shu, Wan and Chan, TPAMI 2024, with their program's noise in pixels.
loss = dict(type='GCFLoss', noise_bandwidth=20.0)
