# Points at the local maxima of the density; the threshold had the best F1 on the validation images.
_base_ = '../pml_vgg16_sha_cpu.py'

model = dict(localizer=dict(type='LocalMaximum', threshold=0.1))
test_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
