from .crowd_visualizer import CrowdVisualizer
from .mlflow_backend import MLflowVisBackend

__all__ = ['CrowdVisualizer', 'MLflowVisBackend']
