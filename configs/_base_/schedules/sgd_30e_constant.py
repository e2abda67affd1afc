# The schedule of LSC-CNN: SGD at a fixed 1e-3. An epoch has many crops of each image.
max_epochs = 30

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=1e-4)
)

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
