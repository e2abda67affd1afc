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
        max_keep_ckpts=2,  # one to fall back to
        save_best='count/selection',
        rule='less',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    augmentation_seed=dict(type='AugmentationSeedHook'),
    step_seed=dict(type='StepSeedHook'),
    sync_norm=dict(type='SyncNormHook'),
    resume_epoch=dict(type='ResumeEpochHook'),
    resume_validation=dict(type='ResumeValidationHook'),
    non_finite_guard=dict(type='NonFiniteGuardHook', max_in_a_row=20),
    train_count=dict(type='TrainCountHook'),
    visualization=dict(type='CrowdVisualizationHook', enable=False),
)

visualizer = dict(type='CrowdVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(
    by_epoch=True,
    window_size=50,
    # What is averaged over the window.
    mean_pattern=r'.*(loss|time|grad_norm|images_per_second|pred_count|gt_count).*',
)
log_level = 'INFO'

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)

load_from = None
resume = False
