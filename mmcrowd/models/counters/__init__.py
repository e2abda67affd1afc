from .density_counter import DensityCounter

__all__ = ['DensityCounter']
