# The published program with its network and schedule: features enlarged by repeating cells, new
# layers that start from a normal distribution of standard deviation 0.01.
# Its settings for this set are not published: they are those for UCF-QNRF, with the crops of the
# Bayesian loss.
_base_ = [
    '../_base_/losses/gl.py',
    '../_base_/experiments/bl_vgg19_shb.py',
    '../_base_/schedules/adam_500e_warmup.py',
]

model = dict(
    head=dict(upsample='nearest', init_cfg=dict(type='Normal', layer='Conv2d', std=0.01)),
    loss=_base_.loss,
)
default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
