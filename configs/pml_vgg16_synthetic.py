# Fine-tunes a pretrained VGG-16 on drawn crowds.
_base_ = [
    '_base_/losses/pml.py',
    '_base_/models/vgg16.py',
    '_base_/datasets/synthetic.py',
    '_base_/schedules/cpu_5min.py',
    '_base_/default_runtime.py',
]

model = dict(loss=_base_.loss)

train_dataloader = dict(dataset=dict(partition_stride=_base_.model.head.out_stride))

optim_wrapper = dict(
    optimizer=dict(lr=2e-4), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.25)))
)
