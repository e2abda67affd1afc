"""The page: its parts, and what happens when something is done with them."""

import base64
import itertools
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr

from .models import Counters
from .session import MAXIMA, OWN, THRESHOLD, Limits, PointRule, Session

LOCALIZERS = [('As many as the count', OWN), ('Local maxima', MAXIMA)]

# Of events that wait for their turn; more are told to come back later.
WAITING = 32

_versions = itertools.count(1)


def read_static(name: str) -> str:
    """A file of the folder ``static``."""
    return resources.files(__package__).joinpath('static', name).read_text(encoding='utf-8')


def theme() -> gr.themes.Base:
    """Colours of :mod:`mmcrowd.visualization.palette` and fonts that come with Gradio."""
    blue = gr.themes.Color(
        *('#eef6fb', '#d6eaf5', '#acd5ec', '#78b9de', '#3d98cb', '#0072b2'),
        *('#00639b', '#00527f', '#004264', '#00334d', '#002233'),
    )
    return gr.themes.Base(
        primary_hue=blue,
        neutral_hue='slate',
        radius_size='md',
        # Of its weights between these two Gradio has but a part of the letters.
        font=[gr.themes.LocalFont('IBM Plex Sans', (400, 700)), 'system-ui', 'sans-serif'],
        font_mono=['monospace'],
    )


def build_page(counters: Counters, limits: Limits, uploads: Path) -> gr.Blocks:
    """The page.

    Args:
        counters: The models to choose from.
        limits: What is taken.
        uploads: The folder into which Gradio writes what is uploaded.
    """
    titles = list(counters.choices)
    with gr.Blocks(
        title='mmcrowd',
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(min(60, limits.seconds), limits.seconds),
    ) as page:
        session = gr.State(Session(), time_to_live=limits.seconds)
        _part('header')
        with gr.Row(elem_id='main'):
            with gr.Column(elem_id='add', elem_classes='card'):
                status = _part('upload', {**limits._asdict(), 'busy': '', 'errors': []})
            with gr.Column(elem_id='result', elem_classes='card'):
                result = _part('result')
            with gr.Column(elem_id='side'):
                with gr.Column(elem_id='list', elem_classes='card'):
                    pictures = _part('pictures')
                with gr.Column(elem_id='settings', elem_classes='card'):
                    model = gr.Dropdown(titles, value=titles[0], label='Model', elem_id='model')
                    localizer = gr.Radio(LOCALIZERS, value=OWN, label='Points', elem_id='localizer')
                    threshold = gr.Slider(
                        minimum=0.01,
                        maximum=0.5,
                        value=THRESHOLD,
                        step=0.01,
                        label='Threshold, persons per cell',
                        visible=False,
                        elem_id='threshold',
                        buttons=[],
                    )
        download = _part('download')

        def show(visitor: Session, layers: bool = True) -> dict[str, Any]:
            """What the result shows; without its layers the page keeps those that it has."""
            if visitor.current is None:
                return dict(version=next(_versions))
            answer = dict(visitor.current.answer(), version=next(_versions))
            return dict(answer, layers=visitor.current.layers) if layers else answer

        def table(visitor: Session) -> dict[str, Any]:
            return dict(rows=visitor.rows(), version=next(_versions))

        def say(busy: str = '', errors: list[str] | None = None) -> dict[str, Any]:
            return dict(limits._asdict(), busy=busy, errors=errors or [], version=next(_versions))

        def count(
            visitor: Session, title: str, kind: str, value: float, event: gr.EventData
        ) -> Iterator[tuple]:
            files, errors = list(event.files), []
            yield gr.skip(), gr.skip(), gr.skip(), say('Counting')
            try:
                counter = counters.get(title)
            except (OSError, ValueError) as error:
                files, errors = [], [str(error)]
                yield gr.skip(), gr.skip(), gr.skip(), say('', errors)
            for number, file in enumerate(files):
                path = Path(file['file']).resolve()
                if not path.is_relative_to(uploads.resolve()):
                    raise gr.Error('That file was not uploaded here.')
                try:
                    rule = PointRule(kind, value)
                    visitor.add(path, str(file['name']), counter, counter.describe(), rule, limits)
                except (OSError, ValueError) as error:
                    errors.append(str(error))
                rest = len(files) - number - 1
                busy = f'Counting, {rest} to go' if rest else ''
                yield visitor, show(visitor), table(visitor), say(busy, errors)

        def count_again(visitor: Session, title: str, kind: str, value: float) -> Iterator[tuple]:
            yield gr.skip(), gr.skip(), gr.skip(), say(f'Counting by {title}')
            try:
                counter = counters.get(title)
            except (OSError, ValueError) as error:
                yield gr.skip(), gr.skip(), gr.skip(), say('', [str(error)])
                return
            rule = PointRule(kind, value)
            again = visitor.count_again(counter, counter.describe(), rule, limits)
            errors = [text for text in again if text]
            yield visitor, show(visitor), table(visitor), say('', errors)

        def locate(visitor: Session, kind: str, value: float) -> tuple:
            errors = []
            for picture in visitor.pictures:
                try:
                    picture.locate(PointRule(kind, value))
                except ValueError as error:
                    errors = [str(error)]
            slider = gr.update(visible=kind == MAXIMA)
            return show(visitor, layers=False), slider, say('', errors)

        def move_threshold(visitor: Session, kind: str, value: float) -> tuple:
            shown, _, said = locate(visitor, kind, value)
            return shown, said

        def zone(visitor: Session, event: gr.EventData) -> dict[str, Any]:
            picture = visitor.find(str(event.name))
            if picture is None:
                return show(visitor)
            try:
                picture.set_zones(event.zones)
            except (KeyError, TypeError, ValueError) as error:
                return dict(show(visitor, layers=False), problem=str(error))
            return show(visitor, layers=False)

        def choose(visitor: Session, event: gr.EventData) -> tuple:
            visitor.choose(str(event.name))
            return show(visitor), table(visitor)

        def remove(visitor: Session, event: gr.EventData) -> tuple:
            if event.name is None:
                visitor.pictures.clear()
            else:
                visitor.remove(str(event.name))
            return show(visitor), table(visitor), say()

        def save(visitor: Session, title: str, event: gr.EventData) -> tuple:
            try:
                name, content = visitor.export(str(event.kind), counters.get(title))
            except (OSError, ValueError) as error:
                return gr.skip(), say('', [str(error)])
            data = base64.b64encode(content).decode()
            return dict(name=name, data=data, version=next(_versions)), gr.skip()

        settings = [model, localizer, threshold]
        outputs = [session, result, pictures, status]
        quiet: dict[str, Any] = dict(show_progress='hidden', api_visibility='private')
        # One picture goes through a network at a time, whoever asks.
        network: dict[str, Any] = dict(quiet, concurrency_limit=1, concurrency_id='network')
        each: dict[str, Any] = dict(network, trigger_mode='multiple')
        for event, run in ((status.picked, count), (model.input, count_again)):
            event(run, [session, *settings], outputs, **each).failure(
                lambda: say('', ['That failed; the terminal says why.']), None, status, **quiet
            )
        rule = [session, localizer, threshold]
        localizer.input(locate, rule, [result, threshold, status], **network)
        threshold.release(
            move_threshold, rule, [result, status], trigger_mode='always_last', **quiet
        )
        result.zoned(zone, session, result, trigger_mode='multiple', **quiet)
        result.saved(save, [session, model], [download, status], **network)
        pictures.chosen(choose, session, [result, pictures], trigger_mode='multiple', **quiet)
        pictures.removed(
            remove, session, [result, pictures, status], trigger_mode='multiple', **quiet
        )
    page.queue(max_size=WAITING, default_concurrency_limit=4)
    return page


def _part(name: str, value: Any = None) -> gr.HTML:
    """A part of the page from the files ``NAME.html`` and ``NAME.js`` of the folder ``static``."""
    folder = resources.files(__package__).joinpath('static')
    script = folder.joinpath(f'{name}.js')
    return gr.HTML(
        value,
        html_template=read_static(f'{name}.html'),
        js_on_load=read_static('common.js') + read_static(script.name)
        if script.is_file()
        else None,
        apply_default_css=False,
        elem_id=f'part-{name}',
    )
