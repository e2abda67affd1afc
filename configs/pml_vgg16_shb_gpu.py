# ShanghaiTech B in minutes on one GPU: the network of the hour on a CPU, 16 crops a step, until the
# time is over. The learning rate stays as it is after the warm-up, so that a run can go on from the
# last one; the averaged weights stand in for a decay. See docs/gpu.md.
_base_ = 'pml_vgg16_shb_cpu.py'

train_dataloader = dict(batch_size=16, num_workers=8)
val_dataloader = dict(num_workers=4)
test_dataloader = dict(num_workers=4)

param_scheduler = [dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False)]
train_cfg = dict(max_epochs=3000, val_interval=10)
default_hooks = dict(time_limit=dict(type='TimeLimitHook', seconds=300))
