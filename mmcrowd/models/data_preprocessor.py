import torch
from mmengine.model import ImgDataPreprocessor

from mmcrowd.registry import MODELS

from .lazy_batch import LazyBatch

# Luma of BT.601, in the order B, G, R.
_LUMA = (0.114, 0.587, 0.299)


@MODELS.register_module()
class CrowdDataPreprocessor(ImgDataPreprocessor):
    """Normalise, pad to a multiple and batch; tell every sample its ``pad_shape``.

    Images are padded to the right and to the bottom, after the normalisation, so that the padding
    has the value of a mean-coloured pixel.

    Args:
        mean: Mean of the channels as the network sees them. Defaults to None, no normalisation.
        std: Standard deviation of the channels. Defaults to None.
        bgr_to_rgb: Turn the BGR input into RGB. Defaults to False.
        to_gray: Turn the BGR input into one grey channel. Defaults to False.
        pad_size_divisor: Sides of the batch are multiples of this. Defaults to 32.
        **kwargs: Other arguments of :class:`mmengine.model.ImgDataPreprocessor`.

    Raises:
        ValueError: Both ``bgr_to_rgb`` and ``to_gray``.
    """

    def __init__(
        self,
        mean=None,
        std=None,
        bgr_to_rgb: bool = False,
        to_gray: bool = False,
        pad_size_divisor: int = 32,
        **kwargs,
    ):
        if bgr_to_rgb and to_gray:
            raise ValueError('bgr_to_rgb and to_gray exclude each other')
        super().__init__(
            mean=mean, std=std, bgr_to_rgb=bgr_to_rgb, pad_size_divisor=pad_size_divisor, **kwargs
        )
        self.to_gray = to_gray

    @torch.compiler.disable  # no work for a compiler, and the arrays of samples confuse it
    def forward(self, data: dict, training: bool = False) -> dict:
        """Turn collated data into the input of a counter.

        Args:
            data: ``inputs``, a list of uint8 ``(3, H, W)`` BGR images, and ``data_samples``, a list
                of :class:`~mmcrowd.structures.CrowdDataSample` (optional).
            training: Unused; images are treated alike in training and at test time.

        Returns:
            ``inputs`` float32 ``(N, C, H, W)`` and ``data_samples`` on the model's device.
        """
        if self.to_gray:
            data = self.cast_data(data)
            data['inputs'] = [self._gray(img) for img in data['inputs']]
        return self._with_pad_shape(super().forward(data, training))

    def defer(self, data: dict) -> dict:
        """Like :meth:`forward` at test time, but pixels are prepared where they are needed.

        Args:
            data: See :meth:`forward`.

        Returns:
            ``inputs``, a :class:`~mmcrowd.models.lazy_batch.LazyBatch`, whose images stay where
            they are and as they are until a window is cut out of it; and ``data_samples``.
        """
        images = list(data['inputs'])
        divisor = self.pad_size_divisor
        height, width = (
            -(-max(image.shape[axis] for image in images) // divisor) * divisor for axis in (-2, -1)
        )
        inputs = LazyBatch(
            images, self._prepare, 1 if self.to_gray else 3, (height, width), self.pad_value
        )
        samples = self.cast_data(data.get('data_samples'))
        return self._with_pad_shape(dict(data, inputs=inputs, data_samples=samples))

    def _prepare(self, images: list[torch.Tensor]) -> torch.Tensor:
        return self.forward(dict(inputs=images))['inputs']

    @staticmethod
    def _with_pad_shape(data: dict) -> dict:
        for sample in data['data_samples'] or ():
            sample.set_metainfo(dict(pad_shape=tuple(data['inputs'].shape[-2:])))
        return data

    @staticmethod
    def _gray(img: torch.Tensor) -> torch.Tensor:
        # Whole grey levels, as an image file or OpenCV would hold them.
        blue, green, red = (weight * channel for weight, channel in zip(_LUMA, img, strict=True))
        return (blue + green + red).round()[None]
