# Fig. 4a in small: MCNN from scratch in a quarter of an hour on one CPU core.
_base_ = '../pml_mcnn_shb_cpu.py'

train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline.insert(1, dict(type='AnnotationNoise', uniform=0.02))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# L2 begins with a count that is far too large, and squares it: without a limit the first steps take
# all density away.
optim_wrapper = dict(clip_grad=dict(max_norm=1))

max_epochs = 25
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
