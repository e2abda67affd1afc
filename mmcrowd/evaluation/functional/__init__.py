from .counting import COUNT_CLASSES, count_errors, count_errors_by_class

__all__ = ['COUNT_CLASSES', 'count_errors', 'count_errors_by_class']
