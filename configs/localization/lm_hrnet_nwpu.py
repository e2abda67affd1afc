# Tables 3 and 9: points at the local maxima of the density.
_base_ = '../pml_hrnet_nwpu.py'

model = dict(localizer=dict(type='LocalMaximum', mode='relative', threshold=0.10))
test_evaluator = [_base_.test_evaluator, dict(type='LocalizationMetric', radii='nwpu')]
