# Stage 3 of Switch-CNN: the switch learns which column counts a patch best, and the columns those
# patches that the switch gives them, in turn.
_base_ = 'switch_cnn_differential.py'

model = dict(
    backbone=dict(
        switch=dict(
            type='VGGFeatures',
            depth=16,
            out_stages=(4,),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth',
                prefix='backbone',
            ),
        )
    ),
    head=dict(switch_channels=512),
    loss=dict(type='SwitchCoupledLoss'),
)
# 30 of the switch, 30 of the columns.
train_cfg = dict(max_epochs=60, val_interval=2)
