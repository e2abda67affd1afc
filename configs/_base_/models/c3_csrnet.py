# CSRNet of the C-3-Framework: no ReLU at the end, and every value repeated in 8 x 8 pixels.
_base_ = 'csrnet.py'

model = dict(
    head=dict(_delete_=True, type='PerPixelHead', in_channels=64, activation='none'),
    loss=dict(type='GaussianMSELoss'),
)
