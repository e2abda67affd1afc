# Tables 3 and 9: points by optimal transport from the density.
_base_ = 'lm_hrnet_nwpu.py'

model = dict(localizer=dict(_delete_=True, type='OTMinimization'))
