# Parameters, gradients and optimizer in shards over the processes; beside a config:
#   _base_ = ['../pml_hrnet_qnrf.py', '../_base_/strategies/fsdp.py']
runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    state_dict_cfg='full',  # checkpoints are those of one process, for test.py and inference too
    # The parameters keep their names, for those that are frozen or have a learning rate of their
    # own.
    model_wrapper=dict(type='MMFullyShardedDataParallel', use_orig_params=True),
)
