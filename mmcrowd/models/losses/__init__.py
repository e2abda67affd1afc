from .pml_loss import PMLLoss

__all__ = ['PMLLoss']
