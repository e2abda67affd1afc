_base_ = [
    '../models/csrnet.py',
    '../datasets/qnrf.py',
    '../schedules/adam_3000e.py',
    '../default_runtime.py',
]

train_dataloader = dict(dataset=dict(partition_stride=_base_.model.head.out_stride))
