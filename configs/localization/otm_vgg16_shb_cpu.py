# Points by optimal transport from the density.
_base_ = 'lm_vgg16_shb_cpu.py'

model = dict(localizer=dict(_delete_=True, type='OTMinimization'))
