from .base_crowd_dataset import BaseCrowdDataset
from .crowd_dataset import CrowdDataset
from .shanghaitech import ShanghaiTechDataset
from .synthetic import SyntheticCrowdDataset
from .ucf_qnrf import UCFQNRFDataset

__all__ = [
    'BaseCrowdDataset',
    'CrowdDataset',
    'ShanghaiTechDataset',
    'SyntheticCrowdDataset',
    'UCFQNRFDataset',
]
