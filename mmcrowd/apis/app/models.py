"""The models that the page offers, loaded when they are asked for."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mmcrowd.apis.inferencer import CrowdInferencer
from mmcrowd.apis.zoo import DEFAULT, find_entry, list_models

KEPT = 2  # models in memory


class Choice(NamedTuple):
    """A model of the page.

    Attributes:
        title: What the page calls it.
        model: As :class:`~mmcrowd.apis.CrowdInferencer` takes it.
        weights: As there.
        cfg_options: As there.
    """

    title: str
    model: str | None
    weights: str | None = None
    cfg_options: Mapping[str, Any] | None = None


def choices(
    model: str | None = None,
    weights: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[Choice]:
    """The models to choose from: one that is named, and those of the zoo that are on this machine.

    Args:
        model: The first of them. Defaults to None: that of the weights, or of the package.
        weights: Its checkpoint. Defaults to None, those of the zoo.
        cfg_options: Changes of its config. Defaults to None.
    """
    if model is None and weights is None:
        model = DEFAULT
    names = [name for name in list_models(with_weights=True) if find_entry(name).is_here]
    if weights is None and model is not None and '::' not in model and not model.endswith('.py'):
        name = find_entry(model).name
        others = [Choice(each, each) for each in names if each != name]
        return [Choice(name, name, cfg_options=cfg_options), *others]
    title = str(weights) if model is None else f'{model} ({weights or "its weights"})'
    return [Choice(title, model, weights, cfg_options)] + [Choice(name, name) for name in names]


class Counters:
    """Counters by the titles of their choices; the last few stay in memory.

    Args:
        choices: What may be asked for.
        device: See :class:`~mmcrowd.apis.CrowdInferencer`. Defaults to None.
        precision: As there. Defaults to ``'fp32'``.
    """

    def __init__(
        self, choices: list[Choice], device: str | None = None, precision: str = 'fp32'
    ) -> None:
        self.choices = {choice.title: choice for choice in choices}
        self.device = device
        self.precision = precision
        self._loaded: OrderedDict[str, CrowdInferencer] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, title: str) -> CrowdInferencer:
        """The counter of a choice.

        Raises:
            ValueError: There is no such choice, or its weights cannot be read.
        """
        if title not in self.choices:
            raise ValueError(f'no model {title!r} on this page')
        with self._lock:
            if title not in self._loaded:
                self._loaded[title] = self._load(self.choices[title])
            self._loaded.move_to_end(title)
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
            return self._loaded[title]

    def _load(self, choice: Choice) -> CrowdInferencer:
        counter = CrowdInferencer(
            choice.model,
            choice.weights,
            self.device,
            self.precision,
            show_progress=False,
            cfg_options=choice.cfg_options,
        )
        # The first run is slower than the others: better now than with a picture.
        counter(np.zeros((256, 256, 3), np.uint8))
        return counter
