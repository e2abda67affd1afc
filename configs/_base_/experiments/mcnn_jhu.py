_base_ = [
    '../models/mcnn.py',
    '../datasets/jhu.py',
    '../schedules/adam_3000e.py',
    '../default_runtime.py',
]

train_dataloader = dict(dataset=dict(partition_stride=_base_.model.head.out_stride))

# Whole images are shrunk by up to three pixels a side, as the published weights were tested.
test_pipeline = _base_.test_pipeline
test_pipeline.insert(-1, dict(type='ResizeToMultiple', divisor=4))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
