_base_ = ['_base_/losses/l2.py', 'pml_hrnet_jhu.py']

model = dict(loss=dict(_base_.loss, _delete_=True))
