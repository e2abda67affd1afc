from .count_metric import CountMetric
from .density_quality_metric import DensityQualityMetric
from .game_metric import GAMEMetric
from .localization_metric import LOCALIZATION_PROTOCOLS, LocalizationMetric
from .results_writer import ResultsDump, ResultsWriter

__all__ = [
    'LOCALIZATION_PROTOCOLS',
    'CountMetric',
    'DensityQualityMetric',
    'GAMEMetric',
    'LocalizationMetric',
    'ResultsDump',
    'ResultsWriter',
]
