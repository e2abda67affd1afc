from .bayesian_loss import BayesianLoss
from .chf_loss import ChfLoss
from .density_loss import DensityLoss
from .dm_count_loss import DMCountLoss
from .fidtm_loss import FIDTMLoss
from .gaussian_l2_loss import GaussianL2Loss
from .generalized_loss import GeneralizedLoss
from .hungarian_matcher import HungarianMatcher
from .kdmg_loss import KDMGLoss
from .noise_cc_loss import NoiseCCLoss
from .output_loss import OutputLoss
from .p2p_loss import P2PLoss
from .pml_loss import PMLLoss
from .uot_loss import UOTLoss
from .zip_loss import ZIPLoss

__all__ = [
    'BayesianLoss',
    'ChfLoss',
    'DMCountLoss',
    'DensityLoss',
    'FIDTMLoss',
    'GaussianL2Loss',
    'GeneralizedLoss',
    'HungarianMatcher',
    'KDMGLoss',
    'NoiseCCLoss',
    'OutputLoss',
    'P2PLoss',
    'PMLLoss',
    'UOTLoss',
    'ZIPLoss',
]
