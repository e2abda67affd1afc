"""What users call: the inferencer, the count of a video, and the models that come with weights."""

from .inferencer import CrowdInferencer
from .video import CountedFrame, count_video
from .video_reader import VideoReader
from .zoo import list_models

__all__ = ['CountedFrame', 'CrowdInferencer', 'VideoReader', 'count_video', 'list_models']
