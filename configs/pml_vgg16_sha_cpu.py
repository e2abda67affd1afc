# ShanghaiTech A within half an hour on two CPU cores, going on from the weights for part B.
_base_ = 'pml_vgg16_shb_cpu.py'

data_root = '{{$MMCROWD_DATA_ROOT:data}}/ShanghaiTech/part_A'
max_epochs = 6

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=max_epochs, end=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=3)
load_from = 'work_dirs/pml_vgg16_shb_cpu/best_count_selection_epoch_8.pth'
