_base_ = 'topocount_vgg16_sha.py'

model = dict(loss=dict(start_epoch=3))

data_root = '{{$MMCROWD_DATA_ROOT:data}}/ShanghaiTech/part_B'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
