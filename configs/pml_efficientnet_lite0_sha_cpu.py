# ShanghaiTech A within an hour on two CPU cores.
_base_ = 'pml_efficientnet_lite0_shb_cpu.py'

data_root = '{{$MMCROWD_DATA_ROOT:data}}/ShanghaiTech/part_A'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
