"""The tools in two gloo processes, of one machine and of two, give what they give in one."""

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

REPO = Path(__file__).resolve().parents[2]

# Images without random transforms, so that two processes with one image each see the batches that
# one process sees with two. The number of test images is odd: one process has to pad its share.
CONFIG = """
custom_imports = dict(imports=['mmcrowd'])
default_scope = 'mmcrowd'

model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor', to_gray=True, mean=[0.0], std=[255.0], pad_size_divisor=4
    ),
    backbone=dict(type='MCNN', in_channels=1),
    head=dict(type='DensityHead', in_channels=30, mid_channels=(), in_stride=4, out_stride=4),
    loss=dict(type='PMLLoss'),
    localizer=dict(type='LocalMaximum', threshold=1e-6),
)


def dataloader(split, num_images):
    dataset = dict(
        type='SyntheticCrowdDataset',
        split=split,
        num_images=num_images,
        img_size=(96, 64),
        max_count=20,
        pipeline=[dict(type='LoadCrowdImage'), dict(type='PackCrowdInputs')],
        test_mode=split == 'test',
    )
    sampler = dict(type='DefaultSampler', shuffle=split == 'train')
    return dict(batch_size=1, num_workers=0, sampler=sampler, dataset=dataset)


train_dataloader = dataloader('train', 6)
test_dataloader = dataloader('test', 5)
del dataloader
test_evaluator = [
    dict(type='CountMetric', game_levels=(1,)),
    dict(type='LocalizationMetric', radii=(8, 32)),
]
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3, momentum=0.9))
train_cfg = dict(by_epoch=True, max_epochs=2)
test_cfg = dict()
default_hooks = dict(checkpoint=dict(type='CheckpointHook'))
visualizer = dict(type='CrowdVisualizer')
randomness = dict(seed=0)
"""

# The second process writes no checkpoint, so a hook keeps its parameters.
CONFIG_WITH_HOOK = """
_base_ = 'one.py'
custom_imports = dict(imports=['mmcrowd', 'dump_parameters'])
custom_hooks = [dict(type='DumpParameters')]
"""

HOOK = """
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class DumpParameters(Hook):
    def after_train(self, runner):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        torch.save(model.state_dict(), f'{runner.work_dir}/rank{get_rank()}.pth')
"""

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='gloo is for machines without a GPU'
)


def run(*command: str, nodes: int = 1) -> None:
    """Run a script of ``tools/`` in the current folder, on one or several nodes of this machine."""
    environment = dict(
        os.environ,
        PYTHON=sys.executable,
        PYTHONPATH=os.pathsep.join([str(REPO), os.getcwd()]),
        OMP_NUM_THREADS='1',
    )
    if nodes > 1:
        environment.update(NNODES=str(nodes), MASTER_ADDR='127.0.0.1', PORT=str(free_port()))
    outputs = [Path(f'output{rank}.txt') for rank in range(nodes)]
    processes = []
    try:
        for rank, output in enumerate(outputs):
            with output.open('w', encoding='utf-8') as file:
                processes.append(
                    subprocess.Popen(
                        [str(REPO / 'tools' / command[0]), *command[1:]],
                        env=dict(environment, NODE_RANK=str(rank)),
                        stdout=file,
                        stderr=subprocess.STDOUT,
                    )
                )
        codes = [process.wait(timeout=900) for process in processes]
    finally:
        for process in processes:
            # Unlike a kill, it lets the launcher end its processes.
            process.terminate()
    assert codes == [0] * nodes, '\n'.join(output.read_text() for output in outputs)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def state_dict(checkpoint: str) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=False)['state_dict']


def metrics(work_dir: str) -> dict[str, float]:
    (path,) = Path(work_dir).glob('*/*.json')
    return {k: v for k, v in json.loads(path.read_text()).items() if '/' in k}


def test_two_processes_give_what_one_gives(tmp_path, monkeypatch, load_tool):
    monkeypatch.chdir(tmp_path)
    Path('one.py').write_text(CONFIG, encoding='utf-8')
    Path('two.py').write_text(CONFIG_WITH_HOOK, encoding='utf-8')
    Path('dump_parameters.py').write_text(HOOK, encoding='utf-8')

    load_tool('train.py').main(['one.py', '--cfg-options', 'train_dataloader.batch_size=2'])
    run('dist_train.sh', 'two.py', '1', nodes=2)
    one = state_dict('work_dirs/one/epoch_2.pth')
    first, second = (torch.load(f'work_dirs/two/rank{rank}.pth') for rank in range(2))
    for name, value in one.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-6)

    checkpoint = 'work_dirs/two/epoch_2.pth'
    results = ('--out', 'one.pkl', '--show-dir', 'pictures_of_one')
    load_tool('test.py').main(['one.py', checkpoint, '--work-dir', 'test_one', *results])
    results = ('--out', 'two.pkl', '--show-dir', 'pictures_of_two')
    run('dist_test.sh', 'one.py', checkpoint, '2', '--work-dir', 'test_two', *results)
    assert metrics('test_one')['count/MAE'] > 0
    assert metrics('test_two') == pytest.approx(metrics('test_one'), rel=1e-5, nan_ok=True)

    one, two = (pickle.loads(Path(name).read_bytes()) for name in ('one.pkl', 'two.pkl'))
    assert [sample['img_id'] for sample in two] == [sample['img_id'] for sample in one]
    assert len(two) == 5
    pictures = [sorted(Path(f'pictures_of_{n}').iterdir()) for n in ('one', 'two')]
    names = [[path.name for path in paths] for paths in pictures]
    assert names[0] == names[1] == [f'test_test_0000{k}_0.png' for k in range(5)]


# ------------------------------------------------------------------------ what the scripts start

# In place of a program that they start: it says how it was called.
SHOW = '#!/bin/sh\necho "$@"\n'


def started(tmp_path: Path, *command: str, **environment: str) -> str:
    """How a script calls Python, or srun."""
    for name in ('python', 'srun'):
        program = tmp_path / name
        program.write_text(SHOW)
        program.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if k not in ('NNODES', 'PORT', 'PYTHON')}
    path = os.pathsep.join([str(tmp_path), os.environ['PATH']])
    return subprocess.run(
        [str(REPO / 'tools' / command[0]), *command[1:]],
        env=dict(kept, PATH=path, **environment),
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    'name, arguments', [('train', ('a.py',)), ('test', ('a.py', 'a.pth'))], ids=['train', 'test']
)
def test_nodes(tmp_path, name, arguments):
    command = (f'dist_{name}.sh', *arguments, '8', '--amp')
    program = f'--nproc_per_node=8 {REPO}/tools/{name}.py {" ".join(arguments)} --launcher pytorch'
    torchrun = '-m torch.distributed.run'
    assert started(tmp_path, *command) == f'{torchrun} --standalone {program} --amp'
    node = dict(NNODES='4', NODE_RANK='3', MASTER_ADDR='node0', PORT='1234')
    rendezvous = '--nnodes=4 --node_rank=3 --master_addr=node0 --master_port=1234'
    assert started(tmp_path, *command, **node) == f'{torchrun} {rendezvous} {program} --amp'


@pytest.mark.parametrize('gpus, per_node', [('1', '1'), ('8', '8'), ('32', '8')])
def test_slurm(tmp_path, gpus, per_node):
    resources = f'--gres=gpu:{per_node} --ntasks={gpus} --ntasks-per-node={per_node}'
    train = started(
        tmp_path, 'slurm_train.sh', 'part', 'job', 'a.py', 'work', '--resume', GPUS=gpus
    )
    assert train == (
        f'--partition=part --job-name=job {resources} --cpus-per-task=5 --kill-on-bad-exit=1 '
        f'python -u {REPO}/tools/train.py a.py --work-dir work --launcher slurm --resume'
    )
    options = dict(GPUS=gpus, CPUS_PER_TASK='3', SRUN_ARGS='--time=1 --quiet')
    test = started(tmp_path, 'slurm_test.sh', 'part', 'job', 'a.py', 'a.pth', **options)
    assert test == (
        f'--partition=part --job-name=job {resources} --cpus-per-task=3 --kill-on-bad-exit=1 '
        f'--time=1 --quiet python -u {REPO}/tools/test.py a.py a.pth --launcher slurm'
    )
