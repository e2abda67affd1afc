"""What users call: the inferencer, and the models that come with weights."""

from .inferencer import CrowdInferencer
from .zoo import list_models

__all__ = ['CrowdInferencer', 'list_models']
