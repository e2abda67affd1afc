_base_ = ['_base_/losses/bl.py', 'pml_mcnn_jhu.py']

model = dict(loss=dict(_base_.loss, _delete_=True))
