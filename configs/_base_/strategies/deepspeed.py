# ZeRO of DeepSpeed; not run yet. Beside a config, whose optimizer goes through DeepSpeed's wrapper:
#   _base_ = ['../pml_hrnet_qnrf.py', '../_base_/strategies/deepspeed.py']
#   optim_wrapper = dict(type='DeepSpeedOptimWrapper')
runner_type = 'FlexibleRunner'
strategy = dict(
    type='DeepSpeedStrategy',
    # Gradients and the state of the optimizer in shards.
    zero_optimization=dict(stage=2, overlap_comm=True),
)
