"""What MLflow is handed. That it takes this is seen in test_trackers.py, where it is installed."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.visualization import vis_backend

from mmcrowd.registry import VISBACKENDS


@pytest.fixture
def handed(monkeypatch):
    """What a stand-in for MLflow gets, by the name of its function."""
    handed = {}
    module = SimpleNamespace(
        set_tracking_uri=lambda uri: handed.update(uri=uri),
        get_experiment_by_name=lambda name: name,
        set_experiment=lambda name: None,
        log_image=lambda image, name: handed.update(image=name),
        log_metric=lambda name, value, step: handed.update(metric=(name, value, step)),
        log_metrics=lambda metrics, step: handed.update(metrics=(metrics, step)),
    )
    monkeypatch.setitem(sys.modules, 'mlflow', module)
    monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)
    # Set by what is tested, so taken back afterwards.
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', '')
    monkeypatch.delenv('MLFLOW_ALLOW_FILE_STORE')
    return handed


def build(tmp_path, **kwargs):
    backend = VISBACKENDS.build(dict(type='MLflowVisBackend', save_dir=str(tmp_path), **kwargs))
    assert type(backend) is not vis_backend.MLflowVisBackend
    return backend


def test_names(handed, tmp_path):
    backend = build(tmp_path)
    backend.add_image('val_IMG_1', np.zeros((4, 4, 3), np.uint8), 3)
    backend.add_scalar('loc/F1@sigma_l', 0.5, 3)
    backend.add_scalars({'count/MAE': 7.0, 'loc/R_A_mean@8': 0.5}, 3)
    assert handed['image'] == 'val_IMG_1_3.png'
    assert handed['metric'] == ('loc/F1_sigma_l', 0.5, 3)
    assert handed['metrics'] == ({'count/MAE': 7.0, 'loc/R_A_mean_8': 0.5}, 3)


@pytest.mark.parametrize(
    ('variable', 'argument', 'expected'),
    [
        (None, None, 'file://{folder}'),
        ('sqlite:///a.db', None, 'sqlite:///a.db'),
        ('sqlite:///a.db', 'http://server', 'http://server'),
    ],
)
def test_where_runs_go(handed, tmp_path, monkeypatch, variable, argument, expected):
    if variable:
        monkeypatch.setenv('MLFLOW_TRACKING_URI', variable)
    build(tmp_path, tracking_uri=argument).add_scalar('loss', 1.0)
    assert handed['uri'] == expected.format(folder=tmp_path)
