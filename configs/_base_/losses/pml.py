# Lin, Wan and Chan, ICLR 2025.
loss = dict(type='PMLLoss', cost='clamped', epsilon=1.0)
