"""Every config of the tree loads, builds and takes one training step on tiny inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmcrowd.datasets.wrappers import unwrap
from mmcrowd.engine.config import read_config, set_data_root
from mmcrowd.registry import DATASETS, HOOKS, MODELS, VISUALIZERS

from .testing.benchmarks import make_cc50, make_jhu, make_nwpu, make_qnrf

CONFIGS = Path(__file__).parents[1] / 'configs'
NAMES = sorted(
    str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts
)


def test_the_main_configs_exist():
    models = ('vgg16', 'vgg16bn', 'vgg19', 'hrnet', 'mcnn', 'csrnet')
    wanted = {f'pml_{model}_{part}.py' for model in models for part in ('sha', 'shb')}
    wanted |= {'pml_hrnet_qnrf.py', 'pml_vgg16_synthetic.py', 'p2pnet/p2pnet_vgg16bn_sha.py'}
    # The tables of the paper and of the other benchmarks.
    for part in ('sha', 'shb', 'qnrf', 'jhu'):
        models = ('vgg19', 'hrnet', 'mcnn', 'csrnet')
        wanted |= {f'pml_{model}_{part}.py' for model in models}
        for loss in ('l2', 'bl', 'noisecc', 'dmc', 'gl', 'chfl'):
            wanted |= {f'{loss}/{loss}_{model}_{part}.py' for model in models}
    wanted |= {'pml_vgg19_nwpu.py', 'pml_hrnet_nwpu.py', 'pml_vgg19_ucf_cc_50.py'}
    assert wanted <= set(NAMES)


def only_dataset(loader):
    """Config of the dataset of a loader, without wrappers; of several, which are read alike or
    drawn."""
    dataset, *others = unwrap(loader.dataset)
    others = [other for other in others if not other.type.startswith('Synthetic')]
    assert all((other.type, other.split) == (dataset.type, dataset.split) for other in others)
    return dataset


LONGEST = dict(qnrf=1536, jhu=2048, nwpu=2048)
# Folders of systems that are published with others.
OWN_LIMITS = (
    'c3',
    'd2cnet',
    'ebc',
    'fidtm',
    'iim',
    'man',
    'p2pnet',
    'sfcn',
    'steerer',
    'topocount',
    'zip',
)


@pytest.mark.parametrize('name', [name for name in NAMES if name[:-3].split('_')[-1] in LONGEST])
def test_large_images_are_limited_alike_in_training_and_test(name):
    cfg = read_config(CONFIGS / name)
    train, val, test = (
        [
            step.get('longest')
            for step in only_dataset(loader).pipeline
            if step.type == 'ResizeToLimits'
        ]
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    )
    assert len(train) == 1 and train == val == test
    if Path(name).parts[0] not in OWN_LIMITS and 'official' not in name:
        assert train == [LONGEST[name[:-3].split('_')[-1]]]


@pytest.mark.parametrize('model', ['vgg19', 'hrnet', 'mcnn', 'csrnet'])
@pytest.mark.parametrize(
    'part, form', [('sha', 'dense'), ('shb', 'sparse'), ('qnrf', 'dense'), ('jhu', 'sparse')]
)
def test_form_of_the_characteristic_function_loss(model, part, form):
    """The published program has its dense form for ShanghaiTech A and UCF-QNRF only."""
    assert read_config(CONFIGS / 'chfl' / f'chfl_{model}_{part}.py').model.loss.form == form


@pytest.mark.parametrize(
    'make, folder, name, sizes',
    [
        (make_qnrf, 'UCF-QNRF_ECCV18', 'pml_vgg19_qnrf.py', [9, 1, 10]),
        (make_jhu, 'jhu_crowd_v2.0', 'pml_mcnn_jhu.py', [5, 5, 5]),
        (make_nwpu, 'NWPU-Crowd', 'pml_vgg19_nwpu.py', [3, 2, 2]),
        (make_cc50, 'UCF_CC_50', 'pml_vgg19_ucf_cc_50.py', [36, 4, 10]),
    ],
)
def test_benchmark_files_through_the_pipelines(tmp_path, monkeypatch, make, folder, name, sizes):
    """The dataset of a config loads the folder as downloaded."""
    make(tmp_path / folder)
    monkeypatch.setenv('MMCROWD_DATA_ROOT', str(tmp_path))
    cfg = read_config(CONFIGS / name)
    set_data_root(cfg, str(tmp_path / folder))
    init_default_scope(cfg.default_scope)
    for split, size in zip(('train', 'val', 'test'), sizes, strict=True):
        dataset = DATASETS.build(dict(cfg[f'{split}_dataloader'].dataset, cache=False))
        assert len(dataset) == size
        sample = dataset[0]['data_samples']
        assert sample.gt_count == len(sample.gt_instances)
        assert ('gt_partition' in sample) == (split == 'train')


# Numbers of parameters that the metafiles state, by config.
PARAMETERS = {
    row['Config']: row['Metadata']['Parameters']
    for path in CONFIGS.rglob('metafile.yml')
    for row in yaml.safe_load(path.read_text())['Models']
    if 'Parameters' in row.get('Metadata', {})
}
STEPPED: set[str] = set()  # networks, in this process


@pytest.mark.parametrize('name', NAMES)
def test_config(name, tmp_path):
    cfg = read_config(CONFIGS / name)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    np.random.seed(0)

    # The config's own pipelines on small rendered images.
    batches = {}
    for split in ('train', 'val', 'test'):
        configured = only_dataset(cfg[f'{split}_dataloader'])
        # The test images of NWPU-Crowd are not labelled.
        unlabelled = split == 'test' and 'nwpu' in name
        assert configured.split == ('val' if unlabelled else split)
        assert DATASETS.get(configured.type) is not None
        for step in configured.pipeline:
            if 'crop_size' in step:
                step.crop_size = 64
            step.pop('shortest', None)  # which would enlarge them
            if step.type == 'ResizeToFit':
                step.size = (96, 96)
        dataset = DATASETS.build(
            dict(
                type='SyntheticCrowdDataset',
                num_images=2,
                # Sides that need padding where nothing is cut out.
                img_size=(96, 96) if split == 'train' else (93, 90),
                seed=3,
                pipeline=configured.pipeline,
                partition_stride=configured.get('partition_stride'),
            )
        )
        batches[split] = pseudo_collate([dataset[0], dataset[1]])
        for sample in batches[split]['data_samples']:  # labels that evaluators group by
            sample.set_metainfo(dict(attributes=dict(weather=1, luminance=2)))
    sample = batches['train']['data_samples'][0]
    configured = only_dataset(cfg.train_dataloader)
    makes_partition = 'partition_stride' in configured
    assert ('gt_partition' in sample) == makes_partition
    evaluator = Evaluator(cfg.test_evaluator)
    for hook in (*cfg.default_hooks.values(), *cfg.get('custom_hooks', ())):
        HOOKS.build(hook)
    VISUALIZERS.build(dict(cfg.visualizer, name=name, save_dir=str(tmp_path)))

    # Of configs that differ in their data only, one takes the step for all.
    model = {**cfg.model, 'data_preprocessor': dict(cfg.model.data_preprocessor, mean=0, std=1)}
    network = str((model, cfg.optim_wrapper, configured.get('partition_stride')))
    if network in STEPPED:
        return
    STEPPED.add(network)

    # Pretrained checkpoints are files elsewhere, or downloads.
    backbone = dict(cfg.model.backbone, init_cfg=None)
    if 'pretrained' in backbone:
        backbone['pretrained'] = False
    for part in backbone.values():  # a backbone inside one
        if isinstance(part, dict):
            part.pop('init_cfg', None)
    model = MODELS.build(dict(cfg.model, backbone=backbone)).train()
    model.init_weights()
    number = sum(parameter.numel() for parameter in model.parameters())
    assert number == PARAMETERS.get(f'configs/{name}', number)
    if makes_partition:  # it is the one that the loss takes
        side = 64 if 'crop_size' in str(configured.pipeline) else 96
        assert sample.gt_partition.shape == (side // model.stride, side // model.stride)

    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = [p.detach().clone() for p in model.parameters() if p.requires_grad]
    last = [
        layer
        for key, layer in model.head.named_modules()
        if key.split('.')[-1].startswith('predict')
    ]
    biases = [layer.bias.detach().clone() for layer in last if layer.bias is not None]
    weights = [layer.weight.detach().clone() for layer in last]
    logs = model.train_step(batches['train'], optim_wrapper)
    after = [p for p in model.parameters() if p.requires_grad]
    assert torch.isfinite(logs['loss'])
    assert any(not torch.equal(a, b) for a, b in zip(after, before, strict=True))
    # Weight decay moves parameters, too, but not a bias that starts at 0: the network is alive.
    with_bias = [layer for layer in last if layer.bias is not None]
    assert last and all(layer.bias.any() for layer in with_bias)
    if with_bias:
        moved = zip((layer.bias for layer in with_bias), biases, strict=True)
        assert not all(torch.equal(bias, b) for bias, b in moved)
    else:  # and a weight no more than by a share of itself
        decay = max(group['lr'] * group['weight_decay'] for group in optim_wrapper.param_groups)
        moved = zip((layer.weight for layer in last), weights, strict=True)
        assert any(((weight - w).abs() > 2 * decay * w.abs()).any() for weight, w in moved)

    model.eval()
    with torch.no_grad():
        samples = model.test_step(batches['test'])
    evaluator.process(samples, batches['test'])
    assert evaluator.evaluate(2)['count/MAE'] >= 0
