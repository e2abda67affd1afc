import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from mmcrowd.analysis.crops_and_whole import compare_crops_and_whole, count_ratio
from mmcrowd.registry import DATASETS, MODELS


@pytest.fixture
def cfg():
    """A counter with batch normalisation, and drawn crowds of 96 x 64 pixels."""
    init_default_scope('mmcrowd')
    images = dict(type='SyntheticCrowdDataset', num_images=5, img_size=(96, 64))
    end = [dict(type='PackCrowdInputs')]
    crops = [dict(type='LoadCrowdImage'), dict(type='RandomScaleCrop', crop_size=32), *end]
    whole = [dict(type='LoadCrowdImage'), *end]
    return ConfigDict(
        model=dict(
            type='DensityCounter',
            data_preprocessor=dict(
                type='CrowdDataPreprocessor', to_gray=True, std=[50.0], mean=[100.0]
            ),
            backbone=dict(type='MCNN'),
            head=dict(
                type='DensityHead',
                in_channels=30,
                mid_channels=(4,),
                in_stride=4,
                out_stride=4,
                activation='softplus',
                norm_cfg=dict(type='BN'),
            ),
            loss=dict(type='PMLLoss'),
        ),
        train_dataloader=dict(
            batch_size=2,
            dataset=dict(
                type='RepeatDataset', times=2, dataset=dict(images, split='train', pipeline=crops)
            ),
        ),
        val_dataloader=dict(dataset=dict(images, split='val', pipeline=whole)),
    )


def test_lines(cfg):
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = {row.name: row for row in compare_crops_and_whole(cfg, model, num_images=5)}
    assert list(rows) == [
        'training crops, statistics of the batch',
        'training crops',
        'unscaled crops',
        'whole training images',
        'whole training images, in tiles',
        'whole validation images',
    ]
    # The fifth crop fills no batch of two.
    assert [row.num for row in rows.values()] == [4, 5, 5, 5, 5, 5]
    batch, fixed = list(rows.values())[:2]
    assert abs(batch.ratio / fixed.ratio - 1) > 1e-3
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])

    # Tiles by hand: images of 64 x 96 in six of 32 x 32, in evaluation mode.
    predicted, true = 0, 0
    whole = copy.deepcopy(cfg.train_dataloader.dataset.dataset)
    whole.pipeline = cfg.val_dataloader.dataset.pipeline
    for sample in DATASETS.build(whole):
        data = model.data_preprocessor(pseudo_collate([sample]))
        for tile in data['inputs'].unfold(2, 32, 32).unfold(3, 32, 32).flatten(2, 3).unbind(2):
            with torch.no_grad():
                predicted += model(tile)['density'].sum().item()
        true += len(data['data_samples'][0].gt_instances.points)
    tiles = rows['whole training images, in tiles']
    assert tiles.ratio == pytest.approx(predicted / true)
    assert tiles.ratio != pytest.approx(rows['whole training images'].ratio, rel=1e-4)

    # The last line by hand.
    predicted, true = [], []
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    for i in range(5):
        data = model.data_preprocessor(pseudo_collate([dataset[i]]))
        with torch.no_grad():
            predicted.append(model(data['inputs'])['density'].sum().item())
        true.append(len(data['data_samples'][0].gt_instances.points))
    assert rows['whole validation images'].ratio == pytest.approx(sum(predicted) / sum(true))


def test_without_batch_statistics_and_scaling(cfg):
    cfg.model.head.norm_cfg = None
    cfg.train_dataloader.dataset.dataset.pipeline[1] = dict(type='Pad', size_divisor=32)
    model = MODELS.build(cfg.model)
    names = [row.name for row in compare_crops_and_whole(cfg, model, num_images=2)]
    assert names == ['training crops', 'whole training images', 'whole validation images']


def test_nobody_is_an_error():
    with pytest.raises(ValueError, match='crops: nobody in 2 images'):
        count_ratio('crops', [1.0, 2.0], [0, 0])


def test_error_of_a_ratio():
    """Against the spread of the ratio over many samples of the same kind."""
    generator = torch.Generator().manual_seed(0)
    true = torch.randint(1, 50, (400, 60), generator=generator).double()
    predicted = true * (0.9 + 0.2 * torch.randn(true.shape, generator=generator))
    rows = [count_ratio('', p.numpy(), t.numpy()) for p, t in zip(predicted, true, strict=True)]
    spread = torch.tensor([row.ratio for row in rows]).std()
    assert sum(row.error for row in rows) / 400 == pytest.approx(spread.item(), rel=0.1)
