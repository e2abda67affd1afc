from .base_crowd_dataset import BaseCrowdDataset
from .crowd_dataset import CrowdDataset
from .image_entry import ImageEntry
from .jhu_crowd import JHUCrowdDataset
from .nwpu_crowd import NWPUCrowdDataset
from .sample_seed import SeededSamples
from .shanghaitech import ShanghaiTechDataset
from .synthetic import SyntheticCrowdDataset, SyntheticDotsDataset, SyntheticSurfaceDataset
from .ucf_cc_50 import UCFCC50Dataset
from .ucf_qnrf import UCFQNRFDataset

__all__ = [
    'BaseCrowdDataset',
    'CrowdDataset',
    'ImageEntry',
    'JHUCrowdDataset',
    'NWPUCrowdDataset',
    'SeededSamples',
    'ShanghaiTechDataset',
    'SyntheticCrowdDataset',
    'SyntheticDotsDataset',
    'SyntheticSurfaceDataset',
    'UCFCC50Dataset',
    'UCFQNRFDataset',
]
