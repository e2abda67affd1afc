from .functional import COUNT_CLASSES, count_errors, count_errors_by_class
from .metrics import CountMetric

__all__ = ['COUNT_CLASSES', 'CountMetric', 'count_errors', 'count_errors_by_class']
