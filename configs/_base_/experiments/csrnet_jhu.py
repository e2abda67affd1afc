_base_ = [
    '../models/csrnet.py',
    '../datasets/jhu.py',
    '../schedules/adam_3000e.py',
    '../default_runtime.py',
]

train_dataloader = dict(dataset=dict(partition_stride=_base_.model.head.out_stride))

# Only the pretrained front end learns at half the rate.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone.back_end': dict(lr_mult=1.0)}))
