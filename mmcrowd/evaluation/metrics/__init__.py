from .count_metric import CountMetric

__all__ = ['CountMetric']
