# CLTR (Liang et al., ECCV 2022) on ResNet-50, as its program has it.
model = dict(
    type='PointCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=50,
        out_indices=(3,),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    neck=dict(type='DETREncoder', in_channels=2048),
    head=dict(type='CLTRHead', num_queries=500),
    loss=dict(type='CLTRLoss'),
    localizer=dict(type='SigmoidThreshold', score_threshold=0.35),
    # Positions are learned for inputs of this size only.
    inference=dict(type='TileInference', tile_size=256),
)
