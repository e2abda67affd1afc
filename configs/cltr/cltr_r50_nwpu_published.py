# CLTR as its program treats references, tiles, scores and the size of validation images, for its
# checkpoints; see README.md.
_base_ = 'cltr_r50_nwpu.py'

model = dict(
    head=dict(transpose_reference=True),
    inference=dict(pad_start=True),
    localizer=dict(every_logit=True, keep_outside=True),
)

# The folder as downloaded: the copy of the other configs has no image of this size.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/NWPU-Crowd'

test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', longest=4096),
    dict(type='PackCrowdInputs'),
]
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
