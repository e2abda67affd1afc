from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from mmengine.dist import is_main_process
from mmengine.visualization import Visualizer

from mmcrowd.fileio.files import printable
from mmcrowd.registry import VISUALIZERS
from mmcrowd.structures import (
    CrowdDataSample,
    SampleReader,
    to_input_frame,
    to_original_frame,
)

from .drawing import (
    add_caption,
    density_layer,
    detail_size,
    draw_points,
    lay_density,
    overlay_density,
    point_radius,
    side_by_side,
)
from .palette import GROUND_COLOR, PREDICTION_COLOR, TEXT_COLOR, TRUTH_COLOR

# Side, in pixels of the image, of the square on which the colour scale counts persons.
_UNIT_SIDE = 10

# Least standard deviation, in pixels of the image, of the person that bounds the scale from below:
# on an image that is enlarged the blur of the picture is next to nothing.
_LEAST_SPREAD = 2.5


class Panel(NamedTuple):
    """A drawn panel before its caption is laid above it.

    Attributes:
        picture: RGB uint8 ``(h, w, 3)``.
        title: Texts with their colours.
        details: Texts, and small pictures between them.
    """

    picture: np.ndarray
    title: list[tuple[str, tuple[int, int, int]]]
    details: list[str | np.ndarray]


class Layers(NamedTuple):
    """What is seen of a prediction, for a viewer that lays one over the other.

    Attributes:
        picture: The image as it is shown, RGB uint8 ``(h, w, 3)``.
        density: Its density in colours, RGBA uint8 ``(h, w, 4)``; None if there is none.
        scale: What the brightest colour stands for, such as ``'0.21 persons per 10 x 10 px'``.
    """

    picture: np.ndarray
    density: np.ndarray | None
    scale: str


@VISUALIZERS.register_module()
class CrowdVisualizer(Visualizer):
    """Draw an image with its points beside the predicted density, and both counts above.

    The left panel shows the image with true points as dots and predicted points as rings; the right
    one, there if the sample has a predicted density, shows that density over the image in dark
    grey. The density is averaged over a few screen pixels, so that heads stay visible where a
    network puts a whole person on one cell; the colour scale counts persons per 10 x 10 pixels of
    the image that was passed in.

    The picture is drawn on plain arrays by :mod:`mmcrowd.visualization.drawing`; MMEngine's own
    drawing methods, which go through a matplotlib figure of the image, are not used.

    Args:
        name: Name of the instance.
        vis_backends: Where pictures go, see :class:`mmengine.visualization.Visualizer`.
        save_dir: Root folder of the backends.
        min_side: A panel whose longer side would be shorter, in screen pixels, is enlarged.
        max_side: A panel whose longer side would be longer is reduced.
        density_max: Upper end of the colour scale, in persons per 10 x 10 pixels. Defaults to
            None: the density below which 95 % of the predicted persons lie.
        **kwargs: Further arguments of :class:`mmengine.visualization.Visualizer`.

    Examples:
        >>> import numpy as np, torch
        >>> from mmengine.structures import InstanceData, PixelData
        >>> from mmcrowd.structures import CrowdDataSample
        >>> sample = CrowdDataSample(
        ...     gt_instances=InstanceData(points=torch.tensor([[10.0, 20.0]])),
        ...     pred_density=PixelData(density=torch.full((1, 24, 32), 1 / 768)),
        ...     metainfo=dict(density_stride=2))
        >>> image = np.zeros((48, 64, 3), np.uint8)
        >>> picture = CrowdVisualizer().add_datasample('street', image, sample)
    """

    def __init__(
        self,
        name: str = 'visualizer',
        vis_backends: list[dict] | None = None,
        save_dir: str | None = None,
        min_side: int = 640,
        max_side: int = 1600,
        density_max: float | None = None,
        **kwargs,
    ):
        super().__init__(name, vis_backends=vis_backends, save_dir=save_dir, **kwargs)
        self.min_side = min_side
        self.max_side = max_side
        self.density_max = density_max

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: CrowdDataSample,
        draw_gt: bool = True,
        draw_pred: bool = True,
        frame: str = 'original',
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
    ) -> np.ndarray | None:
        """Draw one sample; show the picture, and write it to a file or else to the backends.

        In distributed runs only the first rank shows and has backends. The others draw what is to
        be written to a file, so that each may write its own.

        Args:
            name: Name of the picture for the backends and the window.
            image: RGB uint8 ``(H, W, 3)``.
            data_sample: Any of ``gt_instances``, ``gt_count``, ``pred_density``,
                ``pred_instances`` and ``pred_count``, in the frames that
                :class:`~mmcrowd.structures.CrowdDataSample` states.
            draw_gt: Draw true points and count.
            draw_pred: Draw predicted points, density and count.
            frame: ``'original'`` if ``image`` has the ``ori_shape``, ``'input'`` if it is what the
                network saw, without padding. The two are one if the sample has no meta information.
            show: Show the picture in a window.
            wait_time: Seconds to show it for, 0 for until a key is pressed.
            out_file: Write the picture here instead of to the backends.
            step: Step under which the backends file the picture.

        Returns:
            The picture, RGB uint8 ``(H', W', 3)``; None on other ranks than the first without an
            ``out_file``.

        Raises:
            KeyError: If the sample has a density without ``density_stride``.
            ValueError: If the image is not RGB uint8, or has another size than the sample states
                for this frame, or if the density is not finite or does not fit the image.
        """
        if out_file is None and not is_main_process():
            return None
        panels = self.draw_panels(name, image, data_sample, draw_gt, draw_pred, frame)
        drawn = side_by_side([add_caption(*panel, _letter_size(panel.picture)) for panel in panels])
        if show:
            self.show(drawn, win_name=printable(name), wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(drawn[..., ::-1], str(out_file))
        else:
            self.add_image(printable(name), drawn, step)
        return drawn

    def draw_panels(
        self,
        name: str,
        image: np.ndarray,
        data_sample: CrowdDataSample,
        draw_gt: bool = True,
        draw_pred: bool = True,
        frame: str = 'original',
    ) -> list[Panel]:
        """Draw the panels of one sample, for :meth:`add_datasample`; arguments and errors are its.

        Returns:
            The image with its points and, if there is a predicted density, the density.
        """
        screen = _Screen(name, image, data_sample, frame, self.min_side, self.max_side)
        read = SampleReader(data_sample, 'CrowdVisualizer', name)
        gt_points = screen.truth(read) if draw_gt else None
        pred_points = screen.predicted(read) if draw_pred else None
        density = read.density if draw_pred else None
        gt_title, pred_title = _titles(
            read.get('gt_count', _count(gt_points)) if draw_gt else None,
            read.get('pred_count', _count(pred_points, density)) if draw_pred else None,
        )
        marked, legend = _mark_points(screen, gt_points, pred_points)
        if density is None:
            return [Panel(marked, gt_title + pred_title, legend)]
        stride = read.stride(screen.meta['img_shape'])
        shaded, scale = _shade_density(screen, density, stride, self.density_max)
        return [Panel(marked, gt_title, legend), Panel(shaded, pred_title, scale)]

    def draw_layers(self, name: str, image: np.ndarray, data_sample: CrowdDataSample) -> Layers:
        """The image and its prediction as layers; arguments and errors as :meth:`draw_panels`."""
        screen = _Screen(name, image, data_sample, 'original', self.min_side, self.max_side)
        read = SampleReader(data_sample, 'CrowdVisualizer', name)
        density, scale = None, ''
        if read.density is not None:
            stride = read.stride(screen.meta['img_shape'])
            level, scale = _density_level(screen, read.density, stride, self.density_max)
            density = density_layer(level)
        return Layers(screen.picture, density, scale)


class _Screen:
    """The image at the size it is drawn in, and the way from both frames to its pixels."""

    def __init__(self, name, image, sample, frame, min_side, max_side):
        if frame not in ('original', 'input'):
            raise ValueError(f"frame is {frame!r}, expected 'original' or 'input'")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f'{name}: image is {image.dtype} {image.shape}, expected uint8 (H, W, 3)'
            )
        size = image.shape[:2]
        stated = sample.get('ori_shape' if frame == 'original' else 'img_shape', size)
        if tuple(stated) != size:
            raise ValueError(
                f'{name}: image is {size}, but the {frame} frame of its sample is {tuple(stated)}'
            )
        self.frame = frame
        self.meta = {'img_shape': size, **sample.metainfo}

        longer = max(size)
        factor = min(max(longer, min_side), max_side) / longer
        height, width = (max(1, round(side * factor)) for side in size)
        self.picture = cv2.resize(
            image,
            (width, height),
            interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR,
        )
        # Screen pixels per image pixel, (x, y).
        self.scale = np.array([width / size[1], height / size[0]])
        self.em = _letter_size(self.picture)

    def truth(self, read: SampleReader) -> np.ndarray | None:
        """Screen positions of the true points; as annotated, if the image is the original one."""
        if read.gt_points is None:
            return None
        if self.frame == 'original':
            return self.locate(read.original_truth['points'], 'original')
        return self.locate(read.gt_points, 'input')

    def predicted(self, read: SampleReader) -> np.ndarray | None:
        """Screen positions of the predicted points."""
        return None if read.pred_points is None else self.locate(read.pred_points, 'original')

    def locate(self, points: np.ndarray, frame: str) -> np.ndarray:
        """Screen positions of points ``(m, 2)`` of a frame."""
        if self.frame != frame:
            move = to_original_frame if self.frame == 'original' else to_input_frame
            points = move(points, self.meta)
        return (points + 0.5) * self.scale - 0.5


def _letter_size(picture: np.ndarray) -> int:
    """Size of the letters of a title above a picture."""
    return max(picture.shape[:2]) // 34


def _count(points: np.ndarray | None, density: np.ndarray | None = None) -> float | None:
    """The count that a sample without its own has."""
    if density is not None:
        return float(density.sum())
    return None if points is None else len(points)


def _titles(gt_count: int | None, pred_count: float | None) -> tuple[list, list]:
    gt_title = [] if gt_count is None else [(f'GT {gt_count}', TRUTH_COLOR)]
    # Adding 0 turns a rounded -0.0 into 0.0.
    pred_title = []
    if pred_count is not None:
        pred_title.append((f'pred {round(pred_count, 1) + 0.0:.1f}', PREDICTION_COLOR))
    if gt_title and pred_title:
        error = f'{round(pred_count - gt_count, 1) + 0:+.1f}'.replace('-', '\N{MINUS SIGN}')
        pred_title.append((f'({error})', TEXT_COLOR))
    return gt_title, pred_title


def _mark_points(
    screen: _Screen, gt_points: np.ndarray | None, pred_points: np.ndarray | None
) -> tuple[np.ndarray, list]:
    """Picture with points, and its legend. Dots go over rings: a ring with a dot in it is right."""
    picture, legend = screen.picture.copy(), []
    layers = []
    if pred_points is not None:
        layers.append((pred_points, 'prediction', PREDICTION_COLOR, True))
    if gt_points is not None:
        layers.append((gt_points, 'truth', TRUTH_COLOR, False))
    sets = [layer[0] for layer in layers]
    radius = point_radius(max(sets, key=len), max(picture.shape)) if sets else 0
    side = detail_size(screen.em)
    for points, label, color, ring in layers:
        draw_points(picture, points, radius, color, ring)
        sign = np.full((side + 2, side + 2, 3), GROUND_COLOR, np.uint8)
        draw_points(sign, np.full((1, 2), (side + 1) / 2), side / (4.5 if ring else 3), color, ring)
        legend = [sign, label, *legend]
    return picture, legend


def _shade_density(
    screen: _Screen, density: np.ndarray, stride: int, density_max: float | None
) -> tuple[np.ndarray, list]:
    """Picture with the density over it, and its colour scale."""
    level, end = _density_level(screen, density, stride, density_max)
    side = detail_size(screen.em)
    ramp = np.tile(np.linspace(0, 1, 8 * side, dtype=np.float32), (side, 1))
    bar = overlay_density(np.full((*ramp.shape, 3), 128, np.uint8), ramp)
    return overlay_density(screen.picture, level), ['0', bar, end]


def _density_level(
    screen: _Screen, density: np.ndarray, stride: int, density_max: float | None
) -> tuple[np.ndarray, str]:
    """The density over the picture ``(h, w)``, 0 to 1, and what 1 stands for."""
    size = screen.picture.shape[:2]
    far = np.array(density.shape[::-1]) * stride
    corners = screen.locate(np.array([[0.0, 0.0], far]) - 0.5, 'input') + 0.5
    sigma = max(size) / 256
    laid = cv2.GaussianBlur(lay_density(np.maximum(density, 0), corners, size), (0, 0), sigma)

    # Persons per unit area of the image for one person per screen pixel.
    unit = _UNIT_SIDE**2 * screen.scale.prod()
    if density_max is None:
        # Never so low that the noise of an empty street glows: at least a twentieth of the peak of
        # one person on one pixel.
        variance = max(sigma**2, _LEAST_SPREAD**2 * screen.scale.prod())
        top = max(_quantile_of_persons(laid, 0.95), 0.05 / (2 * np.pi * variance))
    else:
        top = density_max / unit
    end = f'{top * unit:.2g}' if top * unit < 100 else f'{top * unit:.0f}'
    unit_name = f'persons per {_UNIT_SIDE} \N{MULTIPLICATION SIGN} {_UNIT_SIDE} px'
    return np.minimum(laid / top, 1), f'{end} {unit_name}'


def _quantile_of_persons(density: np.ndarray, share: float) -> float:
    """The density below which this share of all persons lies."""
    values = np.sort(density, axis=None)
    persons = np.cumsum(values, dtype=np.float64)
    return float(values[np.searchsorted(persons, share * persons[-1])])
