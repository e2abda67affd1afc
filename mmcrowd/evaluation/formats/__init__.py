from . import nwpu

__all__ = ['nwpu']
