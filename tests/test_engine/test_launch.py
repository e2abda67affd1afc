"""What is done to a config before the runner is built."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import CheckpointLoader

from mmcrowd.engine import launch
from mmcrowd.engine.launch import fetch_pretrained, require_batch
from mmcrowd.fileio.checkpoints import find_damage
from mmcrowd.fileio.images import load_image
from tests.testing.runs import make_runner

# The discard port: nothing listens there, so a download fails at once.
UNREACHABLE = 'http://127.0.0.1:9/zoo/vgg16-0123.pth'

# Each worker has two batches ready, of 64 tensors each: four times the limit of 64 files.
LOADER = """
import resource
import torch
from torch.utils.data import DataLoader, Dataset
from mmcrowd.engine.launch import allow_open_files

class Samples(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        return [torch.zeros(2) for _ in range(8)]

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
allow_open_files()
loader = DataLoader(Samples(), 8, num_workers=2, collate_fn=list)
print(sum(len(batch) for batch in loader))
"""


# ----------------------------------------------------------------------------------- open files


def test_the_limit_is_raised():
    resource = pytest.importorskip('resource')
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    if highest != resource.RLIM_INFINITY and highest < launch.ENOUGH_FILES:
        pytest.skip(f'no more than {highest} open files here')
    strategy = torch.multiprocessing.get_sharing_strategy()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, highest))
    try:
        launch.allow_open_files()
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, highest))
    assert raised == launch.PLENTY_OF_FILES or raised == highest
    assert torch.multiprocessing.get_sharing_strategy() == strategy


def test_no_files_are_held_where_it_cannot_be_raised():
    pytest.importorskip('resource')
    command = [sys.executable, '-c', LOADER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, '64\n'), done.stderr


@pytest.mark.parametrize('batch_size, strategy', [(8, None), (512, 'file_system')])
def test_a_loader_that_needs_more_files_than_there_may_be(monkeypatch, batch_size, strategy):
    resource = pytest.importorskip('resource')
    chosen = []
    monkeypatch.setattr(torch.multiprocessing, 'set_sharing_strategy', chosen.append)
    monkeypatch.setattr(resource, 'getrlimit', lambda _: (20_000, 20_000))
    cfg = ConfigDict(train_dataloader=dict(batch_size=batch_size, num_workers=8))
    launch.allow_open_files(cfg)
    assert chosen == ([] if strategy is None else [strategy])


def test_a_system_without_limits(monkeypatch):
    monkeypatch.setitem(sys.modules, 'resource', None)  # as on Windows
    launch.allow_open_files()


# ---------------------------------------------------------------------- a batch for every process


def loader(**kwargs):
    sampler = dict(type='DefaultSampler', shuffle=True)
    return ConfigDict(dict(batch_size=4, drop_last=True, sampler=sampler) | kwargs)


@pytest.mark.parametrize('num_images, num_processes', [(3, 1), (6, 2), (1, 8)])
def test_images_of_a_process_fill_no_batch(num_images, num_processes):
    with pytest.raises(ValueError, match=r'batch_size=4 with drop_last .* expected at most \d'):
        require_batch(loader(), num_images, num_processes)


@pytest.mark.parametrize(
    'given, num_images, num_processes',
    [
        (loader(), 4, 1),
        # The sampler repeats images, so that all processes have equally many.
        (loader(), 7, 2),
        (loader(drop_last=False), 1, 1),
        (loader(sampler=dict(type='InfiniteSampler')), 1, 1),
        (loader(sampler=dict(type='MySampler')), 1, 1),
        (ConfigDict(drop_last=True, sampler=dict(type='DefaultSampler')), 1, 1),
    ],
)
def test_a_batch_for_all(given, num_images, num_processes):
    require_batch(given, num_images, num_processes)


# ---------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder in which MMEngine looks for downloads, empty."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    return tmp_path / 'torch' / 'hub' / 'checkpoints'


@pytest.fixture
def server(tmp_path):
    """Address of a server of the folder ``tmp_path / 'zoo'``."""
    folder = tmp_path / 'zoo'
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()


def config(checkpoint, **kwargs):
    init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone')
    return Config(
        dict(model=dict(type='DensityCounter', backbone=dict(init_cfg=init_cfg)), **kwargs)
    )


def test_failed_download_says_where_to_put_the_file(cache):
    with pytest.raises(FileNotFoundError) as error:
        fetch_pretrained(config(UNREACHABLE))
    message = str(error.value)
    assert UNREACHABLE in message
    assert f'put the file at {cache}/' in message and '/vgg16-0123.pth, or' in message
    assert '--cfg-options model.backbone.init_cfg=None' in message


@pytest.mark.parametrize(
    'model, option',
    [
        (dict(init_cfg=dict(checkpoint=UNREACHABLE)), 'model.init_cfg'),
        (
            dict(head=dict(init_cfg=[dict(type='Normal'), dict(checkpoint=UNREACHABLE)])),
            'model.head.init_cfg',
        ),
        (
            dict(necks=[dict(), dict(init_cfg=dict(checkpoint=UNREACHABLE))]),
            'model.necks.1.init_cfg',
        ),
    ],
    ids=['top', 'list of initialisers', 'list of modules'],
)
def test_every_init_cfg_is_found(cache, model, option):
    with pytest.raises(FileNotFoundError, match=f'--cfg-options {option}=None'):
        fetch_pretrained(Config(dict(model=model)))


def test_load_from(cache):
    cfg = Config(dict(model=dict(), load_from=UNREACHABLE))
    with pytest.raises(
        FileNotFoundError, match=r'put the file at \S+vgg16-0123\.pth, or into the folder'
    ):
        fetch_pretrained(cfg, training=False)


def test_option_turns_the_checkpoint_off(cache):
    cfg = config(UNREACHABLE)
    cfg.merge_from_dict({'model.backbone.init_cfg': None})
    fetch_pretrained(cfg)
    assert not cache.exists()


def test_testing_needs_no_initial_weights(cache, tmp_path):
    trained = tmp_path / 'epoch_1.pth'
    trained.touch()
    fetch_pretrained(config(UNREACHABLE, load_from=str(trained)), training=False)


def test_local_checkpoints_are_left_to_mmengine(cache, tmp_path):
    weights = tmp_path / 'vgg16.pth'
    weights.touch()
    fetch_pretrained(config(str(weights)))


def test_only_one_process_of_a_machine_downloads(cache, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '1')
    fetch_pretrained(config(UNREACHABLE, launcher='pytorch'))
    monkeypatch.setenv('LOCAL_RANK', '0')
    with pytest.raises(FileNotFoundError):
        fetch_pretrained(config(UNREACHABLE, launcher='pytorch'))


def test_missing_on_the_server(cache, server):
    with pytest.raises(FileNotFoundError, match='HTTP Error 404'):
        fetch_pretrained(config(f'{server}/absent.pth'))


def test_mmengine_finds_what_was_downloaded(cache, server, tmp_path):
    torch.save({'weight': torch.ones(2)}, tmp_path / 'zoo' / 'vgg.pth')
    url = f'{server}/vgg.pth'
    fetch_pretrained(config(url))
    assert [path.name for path in cache.glob('*/*')] == ['vgg.pth']

    (tmp_path / 'zoo' / 'vgg.pth').unlink()
    fetch_pretrained(config(url))
    checkpoint = CheckpointLoader.load_checkpoint(url, map_location='cpu')
    assert checkpoint['weight'].tolist() == [1.0, 1.0]


def test_missing_local_file(cache):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint file gone\.pth.*init_cfg=None'):
        fetch_pretrained(config('gone.pth'))


# ------------------------------------------------------------------------------------ a training


class Images(torch.utils.data.Dataset):
    """Samples that a worker reads; at one of them something happens to it."""

    def __init__(self, happens):
        self.happens = happens

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 5:
            self.happens()
        return dict(inputs=torch.ones(1))


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def killed_later():
    time.sleep(0.5)
    killed()


DEAD_WORKER = r'^a loader worker died \(DataLoader worker \(pid.*\d+\) .*\), .*--resume$'


def train_with_a_worker(tmp_path, happens):
    runner = make_runner(
        tmp_path,
        Images(happens),
        hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)),
        num_workers=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, '_build_runner', lambda cfg, training: runner)
        launch.train(ConfigDict(train_dataloader=dict(batch_size=2)))


@pytest.mark.skipif(sys.platform == 'win32', reason='has no SIGKILL')
def test_a_loader_worker_that_is_killed(tmp_path):
    with pytest.raises(RuntimeError, match=DEAD_WORKER):
        train_with_a_worker(tmp_path, killed)
    # What was saved before is whole.
    for path in tmp_path.glob('*.pth'):
        assert find_damage(path) is None


@pytest.mark.skipif(sys.platform == 'win32', reason='has no SIGKILL')
def test_a_worker_that_dies_while_it_hands_over_a_tensor():
    """Its connection breaks before its death is known."""
    loader = torch.utils.data.DataLoader(Images(killed_later), batch_size=2, num_workers=1)
    batches = iter(loader)
    with (
        pytest.raises(RuntimeError, match=DEAD_WORKER),
        launch._told_of_dead_workers('train', '--resume'),
    ):
        next(batches)
        raise ConnectionResetError('Connection reset by peer')


def test_a_connection_that_breaks_elsewhere(monkeypatch):
    monkeypatch.setattr(launch, 'DEATH_IS_KNOWN', 0.01)
    with (
        pytest.raises(ConnectionResetError, match='of a file server'),
        launch._told_of_dead_workers('test', 'then test again'),
    ):
        raise ConnectionResetError('of a file server')


def test_images_that_disappear_in_an_epoch(tmp_path):
    path = tmp_path / 'a.png'
    with pytest.raises(FileNotFoundError, match=f'no image file {re.escape(str(path))}'):
        train_with_a_worker(tmp_path, partial(load_image, str(path)))


def test_a_file_system_that_fails(tmp_path):
    """Anything else than a file that is not there: here a folder in its place."""
    with pytest.raises(OSError, match=rf'{re.escape(str(tmp_path))}: cannot be read \(Is a dir'):
        load_image(str(tmp_path))
