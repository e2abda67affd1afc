# Fine-tune a counter on a few photos of your own, see docs/custom_data.md: five minutes on two CPU
# cores for 20 photos of 1024 x 768.
_base_ = 'pml_vgg16_shb_cpu.py'

dataset_type = 'CrowdDataset'
data_root = '{{$MMCROWD_CUSTOM_ROOT:data/custom}}'  # with annotations.json
longest = 2048  # the longest side in training and test, for the photos of phones

# All of the network comes from the counter to start with.
load_from = 'work_dirs/pml_vgg16_shb_cpu/best_count_selection_epoch_8.pth'
model = dict(backbone=dict(init_cfg=None))

train_pipeline = _base_.train_pipeline
train_pipeline[0].update(lazy=True)
train_pipeline.insert(1, dict(type='ResizeToLimits', longest=longest))
test_pipeline = _base_.test_pipeline
test_pipeline.insert(1, dict(type='ResizeToLimits', longest=longest))

train_dataloader = dict(
    drop_last=False,
    dataset=dict(type=dataset_type, data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, pipeline=test_pipeline))

# A step takes one crop of one photo: 18 photos are 360 steps. With more photos take fewer epochs.
max_epochs = 20
optim_wrapper = dict(optimizer=dict(lr=5e-5))
param_scheduler = [
    # A share of the run, because its steps depend on the number of photos and the batch.
    dict(type='LinearLR', start_factor=0.01, end=max_epochs / 6, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=max_epochs, end=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
