from .count_metric import CountMetric
from .density_quality_metric import DensityQualityMetric
from .localization_metric import LOCALIZATION_PROTOCOLS, LocalizationMetric
from .results_dump import ResultsDump

__all__ = [
    'CountMetric',
    'DensityQualityMetric',
    'LOCALIZATION_PROTOCOLS',
    'LocalizationMetric',
    'ResultsDump',
]
