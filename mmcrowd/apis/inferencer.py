"""From photos to counts, points and pictures."""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.infer import BaseInferencer
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmcrowd.datasets.transforms import LoadCrowdImage, PackCrowdInputs
from mmcrowd.datasets.wrappers import unwrap
from mmcrowd.engine.config import no_notices, read_config, without_pretraining
from mmcrowd.fileio.bands import DamagedBandError, ImageBands, open_bands
from mmcrowd.fileio.checkpoints import (
    download_checkpoint,
    parameters_of,
    read_checkpoint,
    require_same_parameters,
)
from mmcrowd.fileio.images import resize_image
from mmcrowd.models import BaseCounter, OnnxInference, localizers
from mmcrowd.registry import INFERENCERS, MODELS, TASK_UTILS
from mmcrowd.structures import CrowdDataSample, SampleReader
from mmcrowd.version import __version__
from mmcrowd.visualization import CrowdVisualizer

from .inputs import (
    LIMIT,
    Photo,
    find_photos,
    is_iterator,
    is_url,
    list_photos,
    number_of_photos,
    read_photo,
)
from .notes import notes_on_density, notes_on_size
from .outputs import PredictionWriter, output_path, refuse_inputs, refuse_replacing
from .progress import track
from .zones import Zones, count_in_zones, parse_zones, read_zones
from .zoo import DEFAULT, ZooEntry, find_entry, list_models, read_zoo

# Images of more pixels are reduced to so many, those of a common phone: in larger pictures of the
# same scene heads are larger than those that a network was trained on, not more. Files that are not
# to be reduced are read band by band above so many, where that is possible, and not copied.
MAX_PIXELS = 12_000_000
# Longer side of the picture that stands for an image whose pixels are not in memory.
DRAWN_SIDE = 3200
# Endings of files.
CONFIGS = ('.py', '.yml', '.yaml', '.json')
EXPORTED = '.onnx'
CHECKPOINTS = ('.pth', '.pt', '.ckpt', '.tar', '.safetensors')


class LoadedPhoto(NamedTuple):
    """An image on its way to the network.

    Attributes:
        photo: What it is.
        img: ``(H, W, 3)`` uint8 BGR, the original frame; or its file, if that is read in bands.
        notes: What is known of it before it is counted.
        packed: What the test pipeline makes of it.
    """

    photo: Photo
    img: np.ndarray | ImageBands
    notes: list[str]
    packed: dict[str, Any]


class PhotoWindows:
    """An image of a :class:`~mmcrowd.models.lazy_batch.LazyBatch` of which there is no copy.

    Args:
        img: Pixels ``(H, W, 3)``, or the file that they are read from.

    Attributes:
        shape: ``(3, H, W)``.
    """

    def __init__(self, img: np.ndarray | ImageBands):
        self.img = img
        self.shape = (3, *img.shape[:2])

    def __getitem__(self, window: tuple[slice, slice, slice]) -> torch.Tensor:
        """Rows and columns with all channels, ``(3, h, w)``."""
        _, rows, columns = window
        if isinstance(self.img, ImageBands):
            pixels = self.img.read(rows, columns)
        else:
            pixels = self.img[rows, columns]
        return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


@INFERENCERS.register_module()
class CrowdInferencer(BaseInferencer):
    """Count the people in photos, and say where they are.

    ``CrowdInferencer()(photo)`` needs nothing else: the default model comes with the package.

    The answer to each image is a dict of plain values:

    - ``name``: what the image is called in results, and ``img_path``, its path or URL (or None);
    - ``width``, ``height``: its size in pixels after EXIF rotation, the original frame;
    - ``count``: the predicted count, a float;
    - ``points``: ``[x, y]`` of each person in pixels of the original frame, as many as the rounded
      count by :class:`~mmcrowd.models.OTMinimization`, unless the model brings a localizer of its
      own or another one is asked for;
    - ``scores``: one for each point;
    - ``notes``: what makes the answer doubtful, as sentences; see :mod:`mmcrowd.apis.notes`;
    - ``zones``, where zones are given: the count in each, see
      :func:`~mmcrowd.apis.zones.count_in_zones`;
    - ``model``, ``weights``, ``localizer`` and ``mmcrowd_version``: the name of the model or of its
      config, the file of its weights, the type of the localizer, and the version of the package.

    Images of more than 4 million pixels go through the network in tiles
    (:class:`~mmcrowd.models.SlideInference`), unless the model has an inference of its own.

    Args:
        model: Name or alias in the zoo (:func:`~mmcrowd.apis.list_models`), ``mmcrowd::NAME`` of a
            config, path of a config, or a config. Defaults to None: the model that the weights name
            (those of the zoo do, and files that ``publish_model.py`` has written), or else
            ``'default'``.
        weights: Checkpoint: path, URL, or name in the zoo; see
            :func:`~mmcrowd.fileio.checkpoints.read_checkpoint` for what it may hold. Or a file
            ``NAME.onnx`` of ``mmcrowd export``, which ONNX Runtime then runs on the CPU in the
            place of the network, for each photo as a whole; the model gives everything around it.
            Defaults to None, those of the zoo.
        device: Such as ``'cuda:0'``. Defaults to None, an accelerator if there is one.
        precision: ``'fp32'``, ``'bf16'`` or ``'auto'``, see
            :class:`~mmcrowd.models.BaseCounter`. Defaults to ``'fp32'``.
        localizer: Type of a localizer of :mod:`mmcrowd.models.localizers`, or the config of any.
            Defaults to None, see above.
        strict: Refuse weights of another model. Defaults to True.
        show_progress: Show on stderr how far a run of several images is. Defaults to True.
        cfg_options: Values by dotted key that are laid over the config, such as
            ``{'model.inference.crop_size': 1024}``; an ``inference`` without type is
            ``SlideInference``. Defaults to None.

    Raises:
        FileNotFoundError: A file is missing or cannot be downloaded.
        ValueError: There is no such model, localizer or device, or the weights do not fit or are
            refused.

    Examples:
        >>> from mmcrowd.datasets import SyntheticCrowdDataset
        >>> photo = SyntheticCrowdDataset(num_images=1, split='test').get_data_info(0)['img']
        >>> answer = CrowdInferencer(device='cpu')(photo)['predictions'][0]
        >>> answer['width'], len(answer['points']) == int(answer['count'] + 0.5)
        (384, True)
    """

    preprocess_kwargs = {'recursive', 'on_error', 'max_pixels'}
    forward_kwargs: set = set()
    visualize_kwargs = {'return_vis', 'show', 'wait_time', 'vis_out_dir'}
    postprocess_kwargs = {'pred_out_dir', 'pred_formats', 'zones'}

    def __init__(
        self,
        model: str | os.PathLike | Config | ConfigDict | Mapping | None = None,
        weights: str | os.PathLike | None = None,
        device: str | None = None,
        precision: str = 'fp32',
        localizer: str | Mapping | None = None,
        strict: bool = True,
        show_progress: bool = True,
        cfg_options: Mapping[str, Any] | None = None,
    ):
        check_device(device)
        if isinstance(localizer, str):
            if localizer not in localizers.__all__:
                raise ValueError(
                    f'localizer={localizer!r} (--localizer), expected one of '
                    f'{", ".join(localizers.__all__)}'
                )
            localizer = dict(type=localizer)
        self.strict = strict
        self.entry: ZooEntry | None = None
        if model is None:
            model = DEFAULT if weights is None else model_of(weights)
        self.cfg_options = dict(cfg_options or {})
        cfg = self._find_config(model)
        cfg.model.precision = self.cfg_options.get('model.precision', precision)
        if cfg.model.get('inference') is not None:
            cfg.model.inference.setdefault('type', 'SlideInference')
        if weights is None and self.entry is None:
            raise ValueError(
                f'{cfg.get("filename") or "the config"}: a config without weights; name a '
                'checkpoint by `weights` (--weights)'
            )
        # The model of the zoo whose weights these are, and their file.
        self.weights_entry = self.entry if weights is None else find_entry_of(weights)
        path = find_weights(weights) if self.weights_entry is None else self.weights_entry.fetch()
        self.weights_name = path.name
        # Of the last run: what could not be read, a dict of name, img_path and error each.
        self.errors: list[dict[str, Any]] = []
        with DefaultScope.overwrite_default_scope('mmcrowd'):
            super().__init__(cfg, str(path), device, 'mmcrowd', show_progress)
            counter: BaseCounter = self.model
            if localizer is not None:
                counter.localizer = TASK_UTILS.build(dict(localizer))
            elif counter.localizer is None:
                counter.localizer = TASK_UTILS.build(dict(type='OTMinimization'))
            if counter.inference is None:
                counter.inference = TASK_UTILS.build(dict(type='SlideInference'))
        if isinstance(counter.inference, OnnxInference):
            self._require_same_input(counter.inference)

    def __call__(
        self, inputs: Any, return_datasamples: bool = False, batch_size: int = 1, **kwargs
    ) -> dict[str, list]:
        """Count on one image or on several, and keep all answers.

        Args:
            inputs: Path, URL, folder, pattern, bytes, open file, array (BGR), PIL image, or several
                of them; see :func:`~mmcrowd.apis.inputs.find_photos`.
            return_datasamples: Give :class:`~mmcrowd.structures.CrowdDataSample`, with the density
                and the notes in its meta information, in place of dicts. Defaults to False.
            batch_size: Images that go through the network together, at most. Only those of one size
                that follow each other do, so that no count depends on the other images. Defaults
                to 1.
            **kwargs: Any of

                - ``recursive``: search the subfolders of a folder. Defaults to False.
                - ``on_error``: ``'raise'``, or ``'skip'`` to leave out an image that is not there,
                  cannot be read or does not fit the zones, which is then in ``errors``. Defaults to
                  ``'raise'``.
                - ``max_pixels``: larger images are reduced to so many, with a note, and images
                  of no more are read even above 179 million. Defaults to 12 million.
                - ``return_vis``: return the pictures, RGB. Defaults to False.
                - ``show``, ``wait_time``: show each picture, for so many seconds or, 0, until a key
                  is pressed.
                - ``vis_out_dir``: folder of the pictures, ``NAME.png``. No result is written over
                  an image of the run, nor over a ``NAME.json`` that is no prediction; images that
                  come from an iterator are compared with their own results only.
                - ``pred_out_dir``, ``pred_formats``: folder of the predictions, and any of
                  ``'json'`` (the default), ``'csv'``, ``'nwpu'``; see
                  :class:`~mmcrowd.apis.outputs.PredictionWriter`.
                - ``zones``: JSON file of zones, its content, or :class:`~mmcrowd.apis.zones.Zones`,
                  in pixels of the image.

        Returns:
            ``predictions``, a list of one dict for each image (see the class); ``visualization``,
            their pictures or an empty list; ``errors``, the images that were left out, each a dict
            of ``name``, ``img_path`` and ``error``.

        Raises:
            FileNotFoundError, ValueError: An input is not there or cannot be read.
            TypeError: An input is no image.
            ValueError: Results would be written over an input, which is said before anything is
                counted, also with ``on_error='skip'``.
        """
        results: dict[str, list] = dict(predictions=[], visualization=[])
        for result in self.iter(inputs, return_datasamples, batch_size, **kwargs):
            for key in results:
                results[key] += result[key]
        if self.errors:
            listed = '\n'.join(f'  {each["error"]}' for each in self.errors)
            warnings.warn(f'{len(self.errors)} images could not be read:\n{listed}', stacklevel=2)
        return dict(results, errors=self.errors)

    def iter(
        self, inputs: Any, return_datasamples: bool = False, batch_size: int = 1, **kwargs
    ) -> Iterator[dict[str, list]]:
        """Count on images one after the other and keep nothing: memory does not grow.

        Arguments and errors are those of :meth:`__call__`.

        Returns:
            An iterator that gives for each image a dict with lists of one, ``predictions`` and
            ``visualization`` (which is empty without ``return_vis``). What could not be read is
            in the attribute ``errors``.
        """
        pre, forward, visualize, post = self._dispatch_kwargs(**kwargs)
        check_limits(batch_size, pre.get('max_pixels', MAX_PIXELS))
        if pre.get('on_error', 'raise') not in ('raise', 'skip'):
            raise ValueError(f"on_error={pre['on_error']!r}, expected 'raise' or 'skip'")
        self.errors = []
        writer = PredictionWriter(post.get('pred_out_dir'), post.get('pred_formats'))
        vis_out_dir = visualize.get('vis_out_dir')

        def paths(name: str) -> list[Path]:
            pictures = [output_path(vis_out_dir, name, '.png')] if vis_out_dir else []
            return pictures + writer.paths(name)

        recursive = pre.get('recursive', False)
        if (vis_out_dir or writer.formats) and not is_iterator(inputs):
            refuse_inputs(lambda: list_photos(inputs, recursive), paths)
        zones = _zones(post.get('zones'))
        results = self._run(
            self.preprocess(inputs, batch_size, **pre, paths=paths, zones=zones),
            forward,
            visualize,
            writer,
            return_datasamples,
            zones,
            pre.get('on_error', 'raise'),
        )
        if not self.show_progress:
            return results
        total = number_of_photos(inputs, recursive)
        return results if total == 1 else track(results, total)

    def _run(self, batches, forward, visualize, writer, return_datasamples, zones, on_error):
        with writer:
            for batch in batches:
                for loaded, sample in self._predict(batch, forward, on_error):
                    sample = self._finish(loaded, sample, zones)
                    pictures = self.visualize([loaded], [sample], **visualize)
                    yield self.postprocess([sample], pictures, return_datasamples, writer=writer)
                # No pixels are kept while the next batch is read.
                batch = loaded = None

    def _predict(self, batch, forward, on_error):
        while batch:
            data = self.collate_fn([loaded.packed for loaded in batch])
            try:
                samples = self.forward(data, **forward)
            except DamagedBandError as error:  # of a file that is read while it is counted
                if on_error == 'raise':
                    raise
                (damaged,) = (loaded.photo for loaded in batch if loaded.img is error.image)
                self._leave_out(damaged.name, damaged.path, error)
                batch = [loaded for loaded in batch if loaded.img is not error.image]
                continue
            yield from zip(batch, samples, strict=True)
            return

    def preprocess(  # type: ignore[override]
        self,
        inputs: Any,
        batch_size: int = 1,
        recursive: bool = False,
        on_error: str = 'raise',
        max_pixels: int = MAX_PIXELS,
        paths: Callable[[str], Sequence[Path]] = lambda name: (),
        zones: Zones | None = None,
    ) -> Iterator[list[LoadedPhoto]]:
        """Batches of images that went through the test pipeline, lazily; see :meth:`__call__`.

        ``paths`` gives the files of the results for the name of an image. An image that cannot have
        them, or that the zones do not fit, is left out as one that cannot be read.
        """
        on_missing = self._leave_out if on_error == 'skip' else None
        found = find_photos(inputs, recursive, on_missing)
        batch: list[LoadedPhoto] = []
        for loaded in self._load(found, on_error, max_pixels, paths, zones):
            # Padding to a common size would change the counts.
            if batch and loaded.packed['inputs'].shape != batch[0].packed['inputs'].shape:
                yield batch
                batch = []
            batch.append(loaded)
            del loaded
            if len(batch) == batch_size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _load(
        self,
        photos: Iterator[Photo],
        on_error: str,
        max_pixels: int,
        paths: Callable[[str], Sequence[Path]],
        zones: Zones | None,
    ) -> Iterator[LoadedPhoto]:
        for photo in photos:
            try:
                refuse_replacing(photo, paths(photo.name))
                img, notes = self._read(photo, max_pixels)
                if zones is not None:
                    _require_fit(zones, photo, img.shape[:2])
            except (OSError, ValueError) as error:
                if on_error == 'raise':
                    raise
                self._leave_out(photo.name, photo.path, error)
                continue
            yield LoadedPhoto(photo, img, notes, self._pack(photo, img, max_pixels))

    def _leave_out(self, name: str, path: str | os.PathLike | None, error: Exception) -> None:
        path = None if path is None else os.fspath(path)
        self.errors.append(dict(name=name, img_path=path, error=str(error)))

    def _read(self, photo: Photo, max_pixels: int) -> tuple[np.ndarray | ImageBands, list[str]]:
        """Pixels of an image, or its file if that is read in bands, and notes."""
        is_file = isinstance(photo.source, str | os.PathLike) and not is_url(photo.source)
        if is_file and max_pixels > MAX_PIXELS and self._takes_windows():
            bands = open_bands(photo.source, MAX_PIXELS, max_pixels)
            if bands is not None:
                return bands, []
        pixels = read_photo(photo, max(max_pixels, LIMIT))
        return pixels.img, pixels.notes

    def _takes_windows(self) -> bool:
        """Whether the pipeline leaves pixels as they are, and the inference asks for windows."""
        types = [type(step) for step in self.pipeline.transforms]
        asks = getattr(self.model.inference, 'takes_windows', False)
        return asks and types == [LoadCrowdImage, PackCrowdInputs]

    def _pack(self, photo: Photo, img: np.ndarray | ImageBands, max_pixels: int) -> dict[str, Any]:
        shape = img.shape[:2]
        scale = math.sqrt(max_pixels / (shape[0] * shape[1]))
        if scale < 1:
            height, width = (max(1, int(side * scale)) for side in shape)
            img = resize_image(np.asarray(img), (height, width))
        known = dict(img=img, img_id=photo.name, ori_shape=shape)
        if photo.path is not None:
            known['img_path'] = photo.path
        if math.prod(img.shape[:2]) <= MAX_PIXELS or not self._takes_windows():
            return self.pipeline(dict(known, img=np.asarray(img)))
        load, pack = self.pipeline.transforms
        # All but the pixels, of which the pipeline would make a copy.
        packed = pack(dict(load(known), img=np.zeros((0, 0, 3), np.uint8)))
        return dict(packed, inputs=PhotoWindows(img))

    def _finish(
        self, loaded: LoadedPhoto, sample: CrowdDataSample, zones: Zones | None
    ) -> CrowdDataSample:
        """The sample with its notes, and the counts in the zones."""
        notes = [*loaded.notes]
        seen, original = tuple(sample.img_shape), tuple(sample.ori_shape)
        if seen != original:
            notes.append(
                f'counted at {seen[1]} x {seen[0]} pixels, the image has {original[1]} x '
                f'{original[0]}'
            )
        notes += notes_on_size(seen, self.training_sizes)
        if 'pred_density' in sample:
            density = sample.pred_density.density.cpu().numpy()[0]
            notes += notes_on_density(density, sample.density_stride)
        sample.set_metainfo(dict(notes=notes))
        if zones is not None:
            sample.set_metainfo(dict(zones=count_in_zones(zones, sample)))
        return sample

    def visualize(  # type: ignore[override]
        self,
        inputs: Sequence[LoadedPhoto],
        preds: Sequence[CrowdDataSample],
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        vis_out_dir: str | os.PathLike | None = None,
    ) -> list[np.ndarray]:
        """Draw images with their points and densities; see :meth:`__call__`.

        Returns:
            RGB pictures; none where nobody asks for them.
        """
        if not (return_vis or show or vis_out_dir):
            return []
        pictures = []
        for loaded, sample in zip(inputs, preds, strict=True):
            name, file = loaded.photo.name, None
            if vis_out_dir:
                file = output_path(vis_out_dir, name, '.png')
                file.parent.mkdir(parents=True, exist_ok=True)
            img = loaded.img
            if isinstance(img, ImageBands):
                img = img.reduced(DRAWN_SIDE)
                sample = reduced_sample(sample, img.shape[:2])
            picture = self.visualizer.add_datasample(
                name,
                cv2.cvtColor(img, cv2.COLOR_BGR2RGB),
                sample,
                draw_gt=False,
                show=show,
                wait_time=wait_time,
                out_file=file,
            )
            pictures.append(picture)
        return pictures if return_vis else []

    def postprocess(  # type: ignore[override]
        self,
        preds: Sequence[CrowdDataSample],
        visualization: list[np.ndarray],
        return_datasamples: bool = False,
        writer: PredictionWriter | None = None,
    ) -> dict[str, list]:
        """Make plain predictions and write them; see :meth:`__call__`."""
        predictions = [plain_prediction(sample) | self.origin() for sample in preds]
        if writer is not None:
            for prediction in predictions:
                writer.write(prediction)
        return dict(
            predictions=list(preds) if return_datasamples else predictions,
            visualization=visualization,
        )

    def origin(self) -> dict[str, str | None]:
        """What an answer comes from: model, weights, localizer and version; see the class."""
        if self.entry is not None:
            model = self.entry.name
        else:
            filename = self.cfg.get('filename')
            model = Path(filename).stem if filename else str(self.cfg.model.type)
        localizer = self.model.localizer
        return dict(
            model=model,
            weights=self.weights_name,
            localizer=None if localizer is None else type(localizer).__name__,
            mmcrowd_version=__version__,
        )

    def describe(self) -> str:
        """The model and the test MAE of its weights, in a line."""
        if self.weights_entry is None:
            return f'weights {self.weights_name}, test MAE unknown'
        return f'{self.weights_entry.name}, {self.weights_entry.test_errors()}'

    @staticmethod
    def list_models(patterns: str = '*', scope: str = 'mmcrowd') -> list[str]:  # type: ignore[override]
        """Names of the models of the package, see :func:`mmcrowd.apis.list_models`.

        Args:
            patterns: Pattern of the names, as of files. Defaults to ``'*'``.
            scope: Of MMEngine; the models are those of mmcrowd, whatever it is. Defaults to
                ``'mmcrowd'``.
        """
        return list_models(patterns)

    # --------------------------------------------------------------------------------- building

    def _find_config(self, model: Any) -> Config:
        if isinstance(model, Mapping | Config):
            cfg = model.copy() if isinstance(model, Config) else Config(dict(model))
            cfg.merge_from_dict(self.cfg_options)
            return cfg
        name = os.fspath(model)
        if Path(name).suffix in CHECKPOINTS:
            raise ValueError(
                f'{name}: a checkpoint, which is named by `weights` (--weights); expected a config '
                'or a model of the zoo'
            )
        is_file = Path(name).is_file()
        if is_file and Path(name).suffix not in CONFIGS:
            raise ValueError(f'{name}: no config, expected the ending {" or ".join(CONFIGS)}')
        is_name = '::' not in name and not name.endswith('.py') and not is_file
        if is_name:
            self.entry = find_entry(name)
            name = self.entry.config
        elif name.startswith('mmcrowd::'):
            rest = name.removeprefix('mmcrowd::')
            self.entry = read_zoo().get(Path(rest).stem)
            if self.entry is None:
                with suppress(ValueError):  # no alias either: the error is that of the config
                    self.entry = find_entry(rest)
                    name = self.entry.config
        with no_notices():
            return read_config(name, self.cfg_options)

    def _init_model(self, cfg: Config, weights: str, device: str = 'cpu') -> BaseCounter:  # type: ignore[override]
        is_exported = Path(weights).suffix == EXPORTED
        checkpoint = {} if is_exported else read_checkpoint(weights)
        try:
            model = MODELS.build(without_pretraining(cfg.model))
        except (TypeError, ValueError, KeyError) as error:
            if not self.cfg_options:
                raise
            options = ' '.join(f'{key}={value}' for key, value in self.cfg_options.items())
            reason = error.args[0] if isinstance(error, KeyError) else error
            raise ValueError(f'--cfg-options {options} do not fit: {reason}') from error
        if is_exported:
            given = [key for key in self.cfg_options if key.startswith('model.inference')]
            if given:
                raise ValueError(
                    f'{weights}: an exported network counts a photo as a whole, so that '
                    f'{", ".join(given)} (--cfg-options) would have no effect'
                )
            model.inference = OnnxInference(weights)
            self.training_sizes = None
            model.cfg = cfg
            return model.to(device).eval()
        state_dict = parameters_of(checkpoint, weights)
        own = model.state_dict()
        if self.strict:
            require_same_parameters(own, state_dict, weights)
        fitting = {
            key: value
            for key, value in state_dict.items()
            if key in own and own[key].shape == value.shape
        }
        model.load_state_dict(fitting, strict=False)
        meta = checkpoint.get('meta', {}) if isinstance(checkpoint, dict) else {}
        sizes = meta.get('sizes')
        # Smallest and largest longer side of the training images, in pixels, if the file says it.
        self.training_sizes = None if sizes is None else (int(sizes[0]), int(sizes[1]))
        model.cfg = cfg
        return model.to(device).eval()

    def _require_same_input(self, exported: OnnxInference) -> None:
        """See that the exported network is fed what it was exported with."""
        from .export import metadata_of, resizing_of  # takes a second, and few need it

        counter: BaseCounter = self.model
        model = self.origin()['model']
        expected = metadata_of(counter, '', None, resizing_of(self.pipeline.transforms))
        for key in ('channel_order', 'mean', 'std', 'divisor', 'stride', 'resize'):
            found = exported.metadata.get(key)
            if found != expected[key]:
                raise ValueError(
                    f'{exported.path}: exported with {key}={found}, but the model {model} has '
                    f'{expected[key]}; name the model that it was made of by `model` (--model)'
                )

    def _init_pipeline(self, cfg: Config) -> Compose:  # type: ignore[override]
        loader = cfg.get('test_dataloader')
        steps = unwrap(loader.dataset)[0].get('pipeline') if loader else None
        return Compose(steps or [dict(type='LoadCrowdImage'), dict(type='PackCrowdInputs')])

    def _init_visualizer(self, cfg: Config) -> CrowdVisualizer:  # type: ignore[override]
        # Not by the config: its backends write into a work dir, and pictures go to a folder here.
        return CrowdVisualizer(name='inferencer')


def check_device(device: str | torch.device | None) -> None:
    """See that there is a device of this name; None is any.

    Raises:
        ValueError: There is none.
    """
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # the latter where torch was built without it
        found = ['cpu']
        if torch.accelerator.is_available():
            kind = torch.accelerator.current_accelerator()
            found += [f'{kind}:{number}' for number in range(torch.accelerator.device_count())]
        raise ValueError(
            f'device={str(device)!r} (--device): there is none here that torch {torch.__version__} '
            f'can use, expected {" or ".join(found)}'
        ) from None


def check_limits(batch_size: int, max_pixels: int) -> None:
    """See that images can be counted so many at once, and of so many pixels.

    Raises:
        ValueError: A number is not positive.
    """
    for name, value in (('batch_size', batch_size), ('max_pixels', max_pixels)):
        if value < 1:
            raise ValueError(f'{name}={value!r}, expected at least 1')


def find_entry_of(weights: str | os.PathLike) -> ZooEntry | None:
    """The model of the zoo of this name; None for the path of a file or a URL."""
    text = os.fspath(weights)
    if '://' in text or Path(text).expanduser().is_file():
        return None
    try:
        return find_entry(text)
    except ValueError:
        raise FileNotFoundError(
            f'no weights {text}: neither a file, nor a URL, nor a model of the zoo'
        ) from None


def find_weights(weights: str | os.PathLike) -> Path:
    """The file of weights that are given by path or URL.

    Raises:
        FileNotFoundError: It cannot be downloaded.
    """
    text = os.fspath(weights)
    return download_checkpoint(text) if '://' in text else Path(text).expanduser()


def model_of(weights: str | os.PathLike) -> str:
    """The model of the zoo that weights are of, if they say so; otherwise the default model.

    A config of any other place is left alone, since it is Python: a file of weights must not name
    what is run.

    Raises:
        FileNotFoundError, ValueError: The weights are not there or cannot be read.
    """
    entry = find_entry_of(weights)
    if entry is not None:
        return entry.name
    path = find_weights(weights)
    if path.suffix == EXPORTED:
        name = OnnxInference(path).metadata.get('model')
        return name if name in read_zoo() else DEFAULT
    if path.suffix == '.safetensors':  # of others the config is not read
        config = read_checkpoint(path)['meta'].get('config')
        for entry in read_zoo().values():
            if entry.config == config:
                return entry.name
    return DEFAULT


def plain_prediction(sample: CrowdDataSample) -> dict[str, Any]:
    """A prediction as plain values; see :class:`CrowdInferencer`.

    Points are rounded to a hundredth of a pixel, scores to four digits.
    """
    read = SampleReader(sample, 'CrowdInferencer')
    height, width = read.value('ori_shape')
    points, scores = read.pred_points, read.pred_scores
    prediction = dict(
        name=read.value('img_id'),
        img_path=read.get('img_path'),
        width=int(width),
        height=int(height),
        count=float(read.value('pred_count')),
        points=[] if points is None else (np.round(points, 2) + 0.0).tolist(),
        scores=[] if scores is None else (np.round(scores, 4) + 0.0).tolist(),
        notes=list(read.get('notes', [])),
    )
    if 'zones' in sample:
        prediction['zones'] = read.get('zones')
    return prediction


def reduced_sample(sample: CrowdDataSample, size: tuple[int, int]) -> CrowdDataSample:
    """A prediction as one of the image at another size ``(h, w)``, which is then the original."""
    height, width = sample.ori_shape
    sx, sy = size[1] / width, size[0] / height
    reduced = sample.clone()
    old_x, old_y = sample.scale_factor
    reduced.set_metainfo(dict(ori_shape=size, scale_factor=(old_x / sx, old_y / sy)))
    if 'pred_instances' in reduced:
        points = sample.pred_instances.points
        scale = points.new_tensor((sx, sy))
        reduced.pred_instances = InstanceData(points=(points + 0.5) * scale - 0.5)
    return reduced


def _zones(zones: Any) -> Zones | None:
    """Zones from a file or its content."""
    if zones is None or isinstance(zones, Zones):
        return zones
    return read_zones(zones) if isinstance(zones, str | os.PathLike) else parse_zones(zones)


def _require_fit(zones: Zones, photo: Photo, size: tuple[int, int]) -> None:
    try:
        zones.for_image(size)
    except ValueError as error:
        raise ValueError(f'{photo.path or photo.name}: {error}') from None
