"""Strategies of MMEngine's ``FlexibleRunner``."""

from typing import Any

import mmengine._strategy
from mmengine.dist import is_main_process

from mmcrowd.fileio.files import replaced_whole
from mmcrowd.registry import STRATEGIES


@STRATEGIES.register_module()
class FSDPStrategy(mmengine._strategy.FSDPStrategy):
    """MMEngine's ``FSDPStrategy``, with whole checkpoints on the disk at any moment.

    MMEngine writes in place here, whatever the hook of checkpoints says. The name is MMEngine's, so
    that ``type='FSDPStrategy'`` gets this class wherever ``default_scope='mmcrowd'``. It takes the
    same arguments. With ``state_dict_type='local'``, a folder with a file of each process, and with
    files elsewhere than in folders, checkpoints are written as by MMEngine.
    """

    def save_checkpoint(self, filename: str, **kwargs: Any) -> None:
        """Save a checkpoint; called in all processes.

        Args:
            filename: Its path.
            kwargs: Those of MMEngine's method.
        """
        is_written_here = is_main_process() and self._is_full_state_dict()
        if not is_written_here or '://' in filename:
            super().save_checkpoint(filename, **kwargs)
            return
        with replaced_whole(filename, sync=True) as partial:
            super().save_checkpoint(str(partial), **kwargs)
