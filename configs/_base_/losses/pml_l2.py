# Lin, Wan and Chan, ICLR 2025, eq. 13. Epsilon, their tau, is ours. A case of n cells with all its
# mass at the point is stationary at a mass of about 1 + n / epsilon, so epsilon must be far above
# the number of cells of a point (some hundred in a crowd, thousands in a crop with few people).
loss = dict(type='PMLLoss', cost='clamped', epsilon=1e4, norm='l2')
