_base_ = ['../_base_/models/iim_vgg16bn.py', '../_base_/experiments/iim_nwpu.py']

# Its threshold is trained at 2e-7.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'head.threshold': dict(lr_mult=0.02, decay_mult=0.0)})
)
