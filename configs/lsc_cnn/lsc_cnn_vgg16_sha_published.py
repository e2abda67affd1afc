# What a checkpoint of the published program needs: its pixels, tiles and places of the boxes.
_base_ = 'lsc_cnn_vgg16_sha.py'

model = dict(
    data_preprocessor=dict(
        # Theirs of B, G, R, taken from R, G, B.
        mean=[104.008, 116.669, 122.675],
        std=[1.0, 1.0, 1.0],
    ),
    head=dict(centred=False),
    inference=dict(type='CoreInference', crop_size=224, core_size=80, step=72),
)

test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', shortest=224),
    dict(type='PackCrowdInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
