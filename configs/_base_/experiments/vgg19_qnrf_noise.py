# Fig. 4 of Lin, Wan and Chan, ICLR 2025: the training points are moved.
_base_ = 'vgg19_qnrf.py'

# Behind the resize, so that lengths are in pixels of images of 1536 px, prepared or not.
train_pipeline = _base_.train_pipeline
train_pipeline.insert(2, dict(type='AnnotationNoise', uniform=0.02))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
