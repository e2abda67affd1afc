# As on part B, with 67 epochs of 67 steps for 50 of 90.
_base_ = 'pml_mcnn_shb_cpu.py'

data_root = '{{$MMCROWD_DATA_ROOT:data}}/ShanghaiTech/part_A'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

max_epochs = 67
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=max_epochs, end=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
