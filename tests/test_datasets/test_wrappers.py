"""One walk for datasets and for their configs."""

from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset, ClassBalancedDataset, RepeatDataset
from torch.utils.data import ConcatDataset, Subset

from mmcrowd.datasets.wrappers import iter_datasets, unwrap


class Numbers(BaseDataset):
    def load_data_list(self):
        return [dict(k=k) for k in range(3)]

    def get_cat_ids(self, idx):
        return [idx]


def test_configs_with_their_keys():
    one, two = ConfigDict(type='A'), ConfigDict(type='B', data_root='x')
    joined = ConfigDict(type='ConcatDataset', datasets=[one, two])
    found = dict(iter_datasets(ConfigDict(type='RepeatDataset', dataset=joined), 'test.dataset'))
    assert list(found) == [
        'test.dataset',
        'test.dataset.dataset',
        'test.dataset.dataset.datasets.0',
        'test.dataset.dataset.datasets.1',
    ]
    found['test.dataset.dataset.datasets.1']['data_root'] = 'y'
    assert joined.datasets[1].data_root == 'y'
    assert [each.type for each in unwrap(joined)] == ['A', 'B']


def test_objects_in_any_wrapper():
    a, b, c = (Numbers() for _ in range(3))
    joined = ConcatDataset([RepeatDataset(a, 2), ClassBalancedDataset(b, 0.5), Subset(c, [0])])
    assert [id(each) for each in unwrap(joined)] == [id(a), id(b), id(c)]
    assert unwrap(a) == [a]
    assert [key for key, _ in iter_datasets(joined)][:3] == [
        'dataset',
        'dataset.datasets.0',
        'dataset.datasets.0.dataset',
    ]
