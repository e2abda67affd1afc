# Lin, Wan and Chan, ICLR 2025, eq. 23.
loss = dict(type='PMLLoss', cost='clamped', epsilon=1.0, norm='kl')
