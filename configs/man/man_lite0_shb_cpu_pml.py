# PML on the density of man_lite0_shb_cpu.py, beside the regularisation of its attention.
_base_ = ['../_base_/losses/pml.py', 'man_lite0_shb_cpu.py']

model = dict(loss=dict(loss=dict(_base_.loss, _delete_=True)))
# All points in the crop, and none beside it, are one person each.
train_dataloader = dict(
    dataset=dict(pipeline=_base_.train_pipeline, partition_stride=_base_.model.head.out_stride)
)
