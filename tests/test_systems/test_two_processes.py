"""What two processes do together is what one does with the images of both."""

import math
import os
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor

from mmcrowd.engine import launch
from mmcrowd.engine.config import read_config
from mmcrowd.engine.optim_wrappers import clip_shards
from mmcrowd.models.losses import DensityLoss, OutputLoss
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.processes import (
    CASES,
    build_counter,
    gradient_of,
    gradient_of_own_image,
    in_processes,
    is_finite_after_overflow,
)
from ..testing.runs import TINY_CONFIG, make_runner

# Losses that divide by a sum over the batch; all others are means over its images.
MEANS_OVER_BATCH = ('p2pnet_by_batch', 'cltr', 'pet_warm_up', 'pet', 'raz')
# Those of them that match; under autocast their numbers may overflow.
MATCHED = ('p2pnet_by_batch', 'cltr', 'pet')

WRAPPER = dict(type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None)
# The norm of the gradient of the tiny training is larger.
CLIPPING = {'optim_wrapper.clip_grad.max_norm': 0.01, 'optim_wrapper.optimizer.lr': 10.0}
GUARD = dict(guard=dict(type='NonFiniteGuardHook'))


class State(Hook):
    """Weight and statistics after each step."""

    def __init__(self) -> None:
        self.states: list[list[float]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        values = (model.weight, model.norm.running_mean, model.norm.running_var)
        self.states.append([value.item() for value in values])


def train(folder: Path) -> tuple[list[list[float]], int]:
    """Three steps of two images in each process, the second not finite in one of them."""
    values = [1.0, 2.0, 3.0, 4.0, 1.0, math.nan, 1.0, 1.0, 2.0, 4.0, 6.0, 8.0]
    dataset = [
        dict(
            inputs=torch.tensor([value]),
            data_samples=CrowdDataSample(metainfo=dict(img_id=f'IMG_{place}')),
        )
        for place, value in enumerate(values)
    ]
    state = State()
    runner = make_runner(
        folder,
        dataset,
        epochs=1,
        hooks=GUARD,
        custom_hooks=[state],
        launcher='pytorch',
        cfg=Config(dict(model_wrapper_cfg=WRAPPER)),
    )
    runner.train()
    return state.states, runner.message_hub.get_info('skipped_steps')


def synchronise(folder: Path) -> str:
    """What comes of ``sync_bn='torch'`` without a GPU."""
    cfg = Config(dict(model_wrapper_cfg=WRAPPER, sync_bn='torch'))
    try:
        make_runner(folder, [], launcher='pytorch', cfg=cfg)
    except ValueError as error:
        return str(error)
    return ''


def train_in_shards(folder: Path) -> tuple[dict[str, Tensor], list[str]] | None:
    """Weights of the tiny training by ``FSDPStrategy``, in the process that writes them, and the
    files that it brought to the disk before it put them in their places."""
    rank = torch.distributed.get_rank()
    strategy = Path(__file__).parents[2] / 'configs' / '_base_' / 'strategies' / 'fsdp.py'
    folder.mkdir(exist_ok=True)
    (folder / f'tiny{rank}.py').write_text(TINY_CONFIG, encoding='utf-8')
    path = folder / f'rank{rank}.py'
    path.write_text(f"_base_ = ['tiny{rank}.py', {str(strategy)!r}]\n", encoding='utf-8')
    cfg = read_config(path, {'train_dataloader.batch_size': 1, **CLIPPING})
    cfg.update(launcher='pytorch', work_dir=str(folder / 'run'))
    synced: set[int] = set()
    put = []

    def fsync(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)

    def replace(source: Path, target: Path) -> None:
        if os.stat(source).st_ino in synced:
            put.append(Path(target).name)
        os.rename(source, target)

    with mock.patch.object(os, 'fsync', fsync), mock.patch.object(os, 'replace', replace):
        launch.train(cfg)
    return (load_weights(folder), put) if rank == 0 else None


def load_weights(folder: Path) -> dict[str, Tensor]:
    return torch.load(folder / 'run' / 'epoch_1.pth', weights_only=False)['state_dict']


def clip(infinite: bool) -> tuple[float, list[float]]:
    """Norm of two shards, and the clipped gradient of one."""
    rank = torch.distributed.get_rank()
    shard = torch.zeros(2, requires_grad=True)
    shard.grad = torch.tensor([[0.0, 3.0], [4.0, math.inf if infinite else 12.0]][rank])
    norm = clip_shards([shard], max_norm=6.5)
    return norm.item(), shard.grad.tolist()


def of_a_process(folder: Path) -> dict:
    return dict(
        gradients={name: gradient_of_own_image(name) for name in CASES},
        finite=[is_finite_after_overflow(name) for name in MATCHED],
        training=train(folder / 'training'),
        norm=synchronise(folder / 'norm'),
        clipped=[clip(infinite) for infinite in (False, True)],
        shards=train_in_shards(folder / 'shards'),
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('processes')


@pytest.fixture(scope='module')
def results(folder):
    return in_processes(of_a_process, folder, folder)


@pytest.mark.parametrize('name', CASES)
def test_gradients_of_two_processes_are_those_of_one(name, results):
    expected = gradient_of(name, [0, 1])
    assert any(gradient.abs().max() > 0 for gradient in expected.values())
    size = max(gradient.abs().max() for gradient in expected.values())
    for result in results:
        actual = result['gradients'][name]
        assert actual.keys() == expected.keys()
        for parameter, gradient in expected.items():
            torch.testing.assert_close(actual[parameter], gradient, rtol=1e-6, atol=1e-6 * size)


@pytest.mark.parametrize('name', MEANS_OVER_BATCH)
def test_losses_that_need_the_sums_of_the_whole_batch(name):
    """The mean of what each image gives by itself is something else."""
    both = gradient_of(name, [0, 1])
    first, second = (gradient_of(name, [image]) for image in (0, 1))
    size = max(gradient.abs().max() for gradient in both.values())
    errors = [(first[key] + second[key]) / 2 - gradient for key, gradient in both.items()]
    assert max(error.abs().max() for error in errors) > 1e-3 * size


def test_every_loss_of_the_registry_is_there():
    losses = {
        kind.__name__
        for kind in MODELS.module_dict.values()
        if isinstance(kind, type) and issubclass(kind, DensityLoss | OutputLoss)
    }
    built = {type(part).__name__ for name in CASES for part in build_counter(name).modules()}
    assert losses <= built


def test_an_overflow_in_one_process_keeps_none_waiting(results):
    assert [result['finite'] for result in results] == [[True] * 3, [False] * 3]


def test_a_step_that_is_not_finite_in_one_process_is_skipped_in_both(results, folder):
    (first, skipped), (second, also_skipped) = (result['training'] for result in results)
    assert skipped == also_skipped == 1
    # Process 0 has the images 0 and 2, 4 and 6, 8 and 10; steps are the mean of both.
    weight = [(1 + 3 + 2 + 4) / 2]
    weight += [weight[0], weight[0] + (2 + 6 + 4 + 8) / 2]
    assert [state[0] for state in first] == [state[0] for state in second] == weight
    for states in (first, second):
        assert states[1] == states[0]  # with the statistics of the normalisation
        assert states[2][1:] != states[0][1:]
    (log,) = (folder / 'training').glob('*/*.log')
    text = log.read_text()
    assert 'step 2 is skipped for a loss of nan, image ids: IMG_5, IMG_7; 1 in a row' in text


def test_normalisation_is_synchronised(results):
    """Its kernels are for GPUs only: it is put in, and torch says so."""
    wanted = 'SyncBatchNorm layers only work with GPU modules'
    assert [result['norm'] for result in results] == [wanted] * 2


def test_norm_of_shards(results):
    norms, infinite = zip(*(result['clipped'] for result in results), strict=True)
    assert [norm for norm, _ in norms] == pytest.approx([13, 13])  # of 3, 4 and 12
    assert [gradient for _, gradient in norms] == [
        pytest.approx([0, 1.5]),
        pytest.approx([2, 6]),
    ]
    assert [norm for norm, _ in infinite] == [math.inf] * 2


def test_fully_sharded_training_is_that_of_one_process(results, tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text(TINY_CONFIG, encoding='utf-8')
    cfg = read_config(path, CLIPPING)
    cfg.update(launcher='none', work_dir=str(tmp_path / 'run'))
    launch.train(cfg)
    expected, (actual, _) = load_weights(tmp_path), results[0]['shards']
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
    # Not for lack of training: these begin at 0.
    biases = [value for name, value in expected.items() if name.endswith('conv.bias')]
    assert max(bias.abs().max() for bias in biases) > 1e-4


def test_checkpoints_of_shards_are_written_whole(results, folder):
    _, put = results[0]['shards']
    assert put[:2] == ['epoch_1.pth', 'last_checkpoint']
    assert not list((folder / 'shards' / 'run').glob('*.partial'))
