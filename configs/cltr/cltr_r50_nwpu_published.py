# CLTR as its program treats references, tiles and scores, for its checkpoints; see README.md.
_base_ = 'cltr_r50_nwpu.py'

model = dict(
    head=dict(transpose_reference=True),
    inference=dict(pad_start=True),
    localizer=dict(every_logit=True, keep_outside=True),
)
