# The model that comes with the package: `mmcrowd count`, `CrowdInferencer()`.
_base_ = 'pml_efficientnet_lite0_shab_cpu.py'

model = dict(localizer=dict(type='OTMinimization'))
