# Points at the local maxima of the density.
_base_ = '../pml_vgg16_sha_cpu.py'

model = dict(localizer=dict(type='LocalMaximum', mode='relative'))
test_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
