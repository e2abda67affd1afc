"""That the trackers of ``--vis`` get what the log has: scalars, the config and pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from ..testing.runs import TINY_CONFIG

VALIDATED = (
    TINY_CONFIG
    + """
val_dataloader = dict(train_dataloader, batch_size=1)
val_evaluator = dict(type='CountMetric')
val_cfg = dict()
default_hooks.update(
    logger=dict(type='LoggerHook', interval=1),
    visualization=dict(type='CrowdVisualizationHook', enable=False),
)
"""
)


@pytest.fixture
def train(load_tool, tmp_path):
    """Function that trains two steps and validates with a tracker; the folder of the run."""

    def train(name):
        config = tmp_path / 'tiny.py'
        config.write_text(VALIDATED, encoding='utf-8')
        work_dir = tmp_path / 'run_7'
        argv = [str(config), '--work-dir', str(work_dir), '--vis', name]
        load_tool('train.py').main(
            [*argv, '--cfg-options', 'default_hooks.visualization.enable=True']
        )
        return work_dir

    return train


def check_picture(picture):
    """Whether it has the image and, beside it, the density, each enlarged to 640 pixels."""
    assert picture.shape[1] >= 2 * 640 and picture.shape[2] == 3
    for panel in np.array_split(picture, 2, axis=1):
        assert np.ptp(panel) > 100


def test_tensorboard(train):
    accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator',
        reason='needs requirements/tests.txt',
    )
    (path,) = train('tensorboard').rglob('events.out.tfevents.*')
    events = accumulator.EventAccumulator(str(path)).Reload()
    loss = events.Scalars('loss')
    assert [each.step for each in loss] == [1, 2]
    assert all(np.isfinite(each.value) for each in loss)
    (mae,) = events.Scalars('count/MAE')
    assert mae.value > 0
    # Four images are validated; every tenth is drawn, beginning with the first.
    (tag,) = events.Tags()['images']
    assert tag.startswith('val_')
    (picture,) = events.Images(tag)
    check_picture(np.asarray(Image.open(io.BytesIO(picture.encoded_image_string))))
    (text,) = events.Tensors('config/text_summary')
    assert 'GaussianL2Loss' in text.tensor_proto.string_val[0].decode()


@pytest.mark.parametrize('store', ['files', 'database'])
def test_mlflow(train, monkeypatch, tmp_path, store):
    mlflow = pytest.importorskip('mlflow', reason='MLflow is not installed: pip install mlflow')
    # Set by what is tested, so taken back afterwards.
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', '')
    monkeypatch.delenv('MLFLOW_ALLOW_FILE_STORE')
    monkeypatch.chdir(tmp_path)
    if store == 'database':
        monkeypatch.setenv('MLFLOW_TRACKING_URI', f'sqlite:///{tmp_path}/mlflow.db')
    work_dir = train('mlflow')
    assert bool(list(work_dir.rglob('meta.yaml'))) == (store == 'files')
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name('mmcrowd').experiment_id])
    assert (run.info.run_name, run.info.status) == ('run_7', 'FINISHED')
    assert run.data.params['model.loss.type'] == 'GaussianL2Loss'
    loss = client.get_metric_history(run.info.run_id, 'loss')
    assert [each.step for each in loss] == [1, 2]
    assert run.data.metrics['count/MAE'] > 0
    (path,) = [
        each.path for each in client.list_artifacts(run.info.run_id) if each.path.startswith('val_')
    ]
    assert path.endswith('_1.png')
    picture = client.download_artifacts(run.info.run_id, path, str(tmp_path))
    check_picture(np.asarray(Image.open(picture)))


def test_wandb(train, monkeypatch):
    pytest.importorskip('wandb', reason='wandb is not installed: pip install wandb')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    work_dir = train('wandb')
    # What would be sent is a log of its own; names stand in it as they are.
    (log,) = work_dir.rglob('run-*.wandb')
    content = log.read_bytes()
    assert all(name in content for name in (b'count/MAE', b'images_per_second', b'GaussianL2Loss'))
    (path,) = work_dir.rglob('media/images/val_*.png')
    check_picture(np.asarray(Image.open(path)))
