# Lin, Ma, Ji, Wang and Hong, CVPR 2022.
loss = dict(type='LocalAttentionLoss', loss=dict(type='TopBayesianLoss'))
