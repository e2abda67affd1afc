_base_ = ['_base_/losses/chfl.py', 'pml_hrnet_jhu.py']

model = dict(loss=dict(_base_.loss, _delete_=True))
