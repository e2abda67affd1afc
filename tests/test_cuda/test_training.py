"""Training on a GPU: mixed precision, a compiled step, and a run with NCCL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from .test_counters import build, make_batch

pytestmark = pytest.mark.cuda

REPO = Path(__file__).resolve().parents[2]
ADAM = dict(optimizer=dict(type='Adam', lr=1e-3))
CONFIG = f"""
_base_ = {str(REPO / 'configs' / 'pml_resnet18_synthetic.py')!r}
model = dict(backbone=dict(init_cfg=None))
data = dict(num_images=4, img_size=(96, 64), max_count=20)
train_dataloader = dict(batch_size=2, num_workers=1, dataset=data)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
del data
train_cfg = dict(max_epochs=2, val_interval=2)
"""


def train(model, wrapper, steps=15):
    """Losses of so many steps on one batch."""
    optimizer = build_optim_wrapper(model, wrapper)
    values = [model.train_step(make_batch(), optimizer)['loss'].item() for _ in range(steps)]
    assert all(p.isfinite().all() for p in model.parameters())
    return values


@pytest.mark.parametrize('name', ['vgg', 'zip', 'p2pnet'])
def test_bf16_counter(name, device):
    values = train(build(name, precision='bf16').to(device).train(), ADAM)
    assert values[-1] < values[0]


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('name', ['vgg', 'zip', 'p2pnet', 'fidtm'])
def test_amp_wrapper(name, dtype, cuda):
    """The first steps in float16 may overflow: the scaler skips them."""
    wrapper = dict(ADAM, type='AmpOptimWrapper', dtype=dtype)
    values = train(build(name).to(cuda).train(), wrapper)
    assert values[-1] < values[0]


@pytest.mark.parametrize('name', ['vgg', 'zip'])
def test_compiled_step(name, device):
    """Network, loss and their backward pass, compiled, give the gradients of the plain step."""
    gradients = []
    for compiled in (False, True):
        torch.compiler.reset()
        init_default_scope('mmcrowd')
        model = build(name).to(device).train()
        data = model.data_preprocessor(make_batch())
        step = model.loss
        if compiled:
            backend = 'inductor' if device.type == 'cuda' else 'aot_eager'
            step = torch.compile(step, backend=backend)
        sum(step(data['inputs'], data['data_samples']).values()).backward()
        parameters = dict(model.named_parameters())
        gradients.append({k: p.grad for k, p in parameters.items() if p.grad is not None})
    plain, compiled = gradients
    assert plain and plain.keys() == compiled.keys()
    for key, grad in plain.items():
        scale = float(grad.abs().max())
        torch.testing.assert_close(compiled[key], grad, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize('launcher', [(), ('-m', 'torch.distributed.run', '--standalone')])
def test_a_run(launcher, device, tmp_path):
    """Training, validation and test by the tools; in one process of NCCL too."""
    config = tmp_path / 'run.py'
    config.write_text(CONFIG, encoding='utf-8')
    work_dir = tmp_path / 'work'
    options = ('--launcher', 'pytorch') if launcher else ()
    common = (str(config), '--work-dir', str(work_dir), *options)
    checkpoint = str(work_dir / 'epoch_2.pth')
    for tool in (('train.py', *common), ('test.py', common[0], checkpoint, *common[1:])):
        command = [sys.executable, *launcher, str(REPO / 'tools' / tool[0]), *tool[1:]]
        done = subprocess.run(
            command,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(REPO), *sys.path])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        assert 'count/MAE' in done.stdout + done.stderr
    assert Path(checkpoint).is_file()
