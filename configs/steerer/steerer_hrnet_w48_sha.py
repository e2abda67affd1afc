_base_ = '../_base_/experiments/steerer_hrnet_w48_sha.py'

model = dict(loss=dict(type='MSILoss', kernel_size=11), localizer=dict(kernel_size=11))
