# PET as its program treats padding, for its checkpoints; see README.md.
_base_ = 'pet_vgg16bn_sha.py'

model = dict(head=dict(keep_padding=True), localizer=dict(keep_outside=True))
