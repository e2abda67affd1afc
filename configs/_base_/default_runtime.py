custom_imports = dict(imports=['mmcrowd'], allow_failed_imports=False)
default_scope = 'mmcrowd'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # The authors keep the model with the smallest 4 * MAE + RMSE on the validation images.
    checkpoint=dict(
        type='CheckpointHook',
        interval=5,
        max_keep_ckpts=1,
        save_best='count/selection',
        rule='less',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    augmentation_seed=dict(type='AugmentationSeedHook'),
    resume_validation=dict(type='ResumeValidationHook'),
    visualization=dict(type='CrowdVisualizationHook', enable=False),
)

visualizer = dict(type='CrowdVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(by_epoch=True, window_size=50)
log_level = 'INFO'

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)

load_from = None
resume = False
