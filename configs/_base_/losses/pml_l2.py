# Lin, Wan and Chan, ICLR 2025, eq. 13. Epsilon, their tau, is ours: by eq. 14 the L1 form amounts
# to 2 n / |s - 1|, and a point of a crop has some hundred cells, n. Where epsilon is far below n,
# the background term outweighs the count term, and the network counts many times too many.
loss = dict(type='PMLLoss', cost='clamped', epsilon=1000.0, norm='l2')
