import os
import re
from typing import Any

import numpy as np
from mmengine.visualization import vis_backend

from mmcrowd.registry import VISBACKENDS


@VISBACKENDS.register_module()
class MLflowVisBackend(vis_backend.MLflowVisBackend):
    """MMEngine's ``MLflowVisBackend``, with pictures and names that MLflow takes.

    MMEngine hands pictures on by a name without ending, of which MLflow cannot tell the format, and
    metrics by their own names, of which MLflow refuses ``loc/F1@sigma_l``. Here pictures are
    ``{name}_{step}.png``, so that those of several epochs stay, and what a name may not have is
    replaced by ``_``. Runs go to ``MLFLOW_TRACKING_URI`` if that is set, as with MLflow itself, and
    else to files in the folder of the run. MLflow 3.17 writes and shows these only with
    ``MLFLOW_ALLOW_FILE_STORE=true``, which is set here for the process that trains.

    The name is MMEngine's, so that ``type='MLflowVisBackend'`` gets this class wherever
    ``default_scope='mmcrowd'``. It takes the same arguments.
    """

    def __init__(self, save_dir: str, *args: Any, tracking_uri: str | None = None, **kwargs: Any):
        tracking_uri = tracking_uri or os.environ.get('MLFLOW_TRACKING_URI')
        super().__init__(save_dir, *args, tracking_uri=tracking_uri, **kwargs)

    def _init_env(self) -> None:
        os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')
        super()._init_env()

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Record a picture, RGB uint8 ``(h, w, 3)``."""
        super().add_image(f'{name}_{step}.png', image, step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Record a number."""
        super().add_scalar(_metric_name(name), value, step)

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Record numbers by their names."""
        renamed = {_metric_name(name): value for name, value in scalar_dict.items()}
        super().add_scalars(renamed, step)


def _metric_name(name: str) -> str:
    """The name with the characters only that MLflow takes.

    Examples:
        >>> _metric_name('loc/F1@sigma_l')
        'loc/F1_sigma_l'
    """
    return re.sub(r'[^\w\-. :/]', '_', name)
