from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor


class LazyBatch:
    """A batch of images whose pixels are prepared only where a window is cut out of it.

    A normalised image takes twelve bytes for each pixel, a decoded one three. What runs a network
    in tiles therefore gets the decoded images in this wrapper, which has the size of the padded
    batch and is cut as a tensor ``(N, C, H, W)`` is: ``batch[images, :, rows, columns]``. What
    comes out is equal to the same window of the prepared batch.

    Args:
        images: Images ``(3, h, w)`` as they come from the loader.
        prepare: Makes a batch of the model's kind out of a list of such images: it converts,
            normalises and pads to the right and to the bottom.
        channels: Channels of what ``prepare`` makes.
        size: Height and width of the padded batch, in pixels.
        pad_value: Value of the padding.

    Attributes:
        shape: ``(N, C, H, W)`` of the prepared and padded batch.

    Examples:
        >>> import torch
        >>> image = torch.arange(12, dtype=torch.uint8).view(1, 3, 4)
        >>> batch = LazyBatch([image], lambda images: torch.stack(images) / 2, 1, (4, 4), 0)
        >>> batch[:, :, 2:4, 1:3]
        tensor([[[[4.5000, 5.0000],
                  [0.0000, 0.0000]]]])
    """

    def __init__(
        self,
        images: Sequence[Tensor],
        prepare: Callable[[list[Tensor]], Tensor],
        channels: int,
        size: tuple[int, int],
        pad_value: float,
    ):
        self.images = list(images)
        self.prepare = prepare
        self.pad_value = pad_value
        self.shape = (len(self.images), channels, *size)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, window: tuple[slice, slice, slice, slice]) -> Tensor:
        """Prepare one window of some images, with all channels.

        Args:
            window: Slices of images, channels, rows and columns, without steps.

        Returns:
            ``(n, C, h, w)`` on the device of the model.
        """
        numbers, _, rows, columns = window
        (top, bottom, _), (left, right, _) = (
            part.indices(side) for part, side in zip((rows, columns), self.shape[2:], strict=True)
        )
        batch = self.prepare([image[:, rows, columns] for image in self.images[numbers]])
        # Each image was padded to its own multiple; the window may end before or behind that.
        batch = batch[:, :, : bottom - top, : right - left]
        padding = (0, right - left - batch.shape[3], 0, bottom - top - batch.shape[2])
        return F.pad(batch, padding, value=self.pad_value)
