from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmcrowd.fileio.checkpoints import parameters_of, require_same_parameters
from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class StrictWeightsHook(Hook):
    """Refuse a checkpoint of another model, where MMEngine would load what fits and go on.

    ``tools/test.py`` adds it to a config.

    Raises:
        ValueError: After a checkpoint was read, if its parameters are not those of the model.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        source = runner._load_from or 'checkpoint'
        require_same_parameters(model.state_dict(), parameters_of(checkpoint, source), source)
