from .bayesian_loss import BayesianLoss, bayesian_loss
from .chf_loss import CHFLoss, ChfLoss, characteristic_error, chf_dense, chf_moduli, chf_sparse
from .cltr_loss import CLTRLoss
from .d2c_loss import D2CLoss
from .density_loss import DensityLoss
from .dm_count_loss import DMCountLoss, dm_count_loss
from .dot_cross_entropy_loss import DotCrossEntropyLoss
from .ebc_loss import EBCLoss
from .fidtm_loss import FIDTMLoss, fidt_map, independent_ssim_loss
from .gaussian_l2_loss import GaussianL2Loss, adaptive_sigma, gaussian_target
from .gaussian_mse_loss import GaussianMSELoss, truncated_gaussian_target
from .gcf_loss import GCFLoss, gaussian_noise_variance, gcf_loss
from .generalized_loss import GeneralizedLoss, generalized_loss
from .grid_wta_loss import GridWTALoss
from .hungarian_matcher import HungarianMatcher, matching_cost
from .iim_loss import IIMLoss
from .iknn_loss import IKNNLoss
from .kdmg_loss import KDMGLoss, KernelGenerator, cosine_loss
from .local_attention_loss import LocalAttentionLoss, region_inconsistency
from .msi_loss import MSILoss, dot_map, gaussian_blur
from .noise_cc_loss import NoiseCCLoss, noise_cc_nll
from .output_loss import OutputLoss
from .p2p_loss import P2PLoss, p2p_loss
from .pet_loss import PETLoss
from .pml_loss import (
    PMLEntropicLoss,
    PMLKLLoss,
    PMLL2Loss,
    PMLLoss,
    pml_entropic,
    pml_kl,
    pml_l1,
    pml_l2,
)
from .point_cases import PointCases
from .switch_loss import (
    SwitchCoupledLoss,
    SwitchDifferentialLoss,
    SwitchLoss,
    SwitchPretrainLoss,
    best_columns,
)
from .target_map_loss import TargetMapLoss
from .top_bayesian_loss import TopBayesianLoss, top_bayesian_loss
from .topo_count_loss import TopoCountLoss, critical_points, dice_loss
from .uot_loss import UOTLoss, uot_loss
from .zip_loss import ZIPLoss, zip_nll

__all__ = [
    'BayesianLoss',
    'CHFLoss',
    'CLTRLoss',
    'ChfLoss',
    'D2CLoss',
    'DMCountLoss',
    'DensityLoss',
    'DotCrossEntropyLoss',
    'EBCLoss',
    'FIDTMLoss',
    'GCFLoss',
    'GaussianL2Loss',
    'GaussianMSELoss',
    'GeneralizedLoss',
    'GridWTALoss',
    'HungarianMatcher',
    'IIMLoss',
    'IKNNLoss',
    'KDMGLoss',
    'KernelGenerator',
    'LocalAttentionLoss',
    'MSILoss',
    'NoiseCCLoss',
    'OutputLoss',
    'P2PLoss',
    'PETLoss',
    'PMLEntropicLoss',
    'PMLKLLoss',
    'PMLL2Loss',
    'PMLLoss',
    'PointCases',
    'SwitchCoupledLoss',
    'SwitchDifferentialLoss',
    'SwitchLoss',
    'SwitchPretrainLoss',
    'TargetMapLoss',
    'TopBayesianLoss',
    'TopoCountLoss',
    'UOTLoss',
    'ZIPLoss',
    'adaptive_sigma',
    'bayesian_loss',
    'best_columns',
    'characteristic_error',
    'chf_dense',
    'chf_moduli',
    'chf_sparse',
    'cosine_loss',
    'critical_points',
    'dice_loss',
    'dm_count_loss',
    'dot_map',
    'fidt_map',
    'gaussian_blur',
    'gaussian_noise_variance',
    'gaussian_target',
    'gcf_loss',
    'generalized_loss',
    'independent_ssim_loss',
    'matching_cost',
    'noise_cc_nll',
    'p2p_loss',
    'pml_entropic',
    'pml_kl',
    'pml_l1',
    'pml_l2',
    'region_inconsistency',
    'top_bayesian_loss',
    'truncated_gaussian_target',
    'uot_loss',
    'zip_nll',
]
