# Ma et al., ICCV 2019, BAYESIAN+; the authors have background_ratio=0.15 on UCF-QNRF.
loss = dict(type='BayesianLoss', sigma=8.0, background_ratio=1.0)
