from .density_head import DensityHead

__all__ = ['DensityHead']
