"""The page: its numbers, notes and tables, and the template that they are written into."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mmcrowd.evaluation.image_errors import (
    ImageErrors,
    by_absolute_error,
    pooled_errors,
    worst_images,
)
from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.visualization import palette

from . import gallery, text
from .graphs import to_html
from .panels import graph_sections, radius_name


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        name: Its heading.
        kind: What is sorted, ``'text'`` or ``'number'``.
        first: Order at the first click.
        order: Order at the start.
    """

    name: str
    kind: str = 'number'
    first: str = 'descending'
    order: str = 'none'


COLUMNS = (
    Column('Image', 'text', 'ascending'),
    Column('True'),
    Column('Predicted'),
    Column('Error'),
    Column('|Error|', order='descending'),
    Column('Relative'),
    Column('TP'),
    Column('FP'),
    Column('FN'),
    Column('F1', first='ascending'),
)


def build_error_page(
    results: Sequence[ImageResult],
    radius: float | str = 8.0,
    worst: int = 24,
    image_root: str | Path | None = None,
    title: str = 'Error analysis',
) -> str:
    """Build the page that shows where a model errs.

    It has the errors over all images, predicted against true counts, errors by level of the true
    count and by attribute, and a table of all images. Where there are true and predicted points it
    also has precision, recall and F1 by radius, recall by size of the head and by distance to the
    nearest neighbour, and, drawn on the worst images, who was found, missed or invented.

    The worst images are those of :func:`~mmcrowd.evaluation.image_errors.worst_images`. Images
    without truth are in the table and in no error; images with nobody in them have no relative
    error.

    Args:
        results: One per image, at least one.
        radius: Farthest distance in pixels of a predicted point from its true point; or
            ``'sigma_s'`` or ``'sigma_l'`` for the small or large radius of each head, which needs
            ``gt_sigmas`` or ``gt_boxes``. Defaults to 8.
        worst: Number of images to show. Defaults to 24.
        image_root: Folder with the image files, or with the folders that they lie in. Defaults to
            None: they lie at their ``img_path``.
            An image whose file cannot be read is shown as points on a grey ground.
        title: Heading of the page. Defaults to ``'Error analysis'``.

    Returns:
        The HTML document. Nothing in it is loaded from elsewhere; about 5 MB are the library that
        draws the graphs, and each shown image adds 0.1 to 0.3 MB.

    Raises:
        ValueError: No image, or as :class:`~mmcrowd.evaluation.image_errors.ImageErrors`.
    """
    if len(results) == 0:
        raise ValueError('results holds no image, expected at least one')
    if worst < 0:
        raise ValueError(f'worst is {worst}, expected a number of images >= 0')
    images = [ImageErrors(result, radius) for result in results]
    number_of = {image: number for number, image in enumerate(images)}
    cases = [
        gallery.make_case(image, number_of[image], image_root)
        for image in worst_images(images, worst)
    ]
    shown = {case.number for case in cases}
    return _template().render(
        title=title,
        plotly=Markup(get_plotlyjs()),
        palette=palette,
        marks=gallery.MARKS,
        subtitle=_subtitle(images, radius),
        notes=_notes(images, cases),
        numbers=_numbers(images),
        sections=graph_sections(images, radius),
        cases=cases,
        kinds=gallery.kinds(cases),
        orders=gallery.orders(cases),
        num_images=len(images),
        columns=COLUMNS,
        rows=[
            (number_of[image], number_of[image] in shown, _cells(image))
            for image in by_absolute_error(images)
        ],
    )


def _template():
    """The template; everything that is not marked as HTML is escaped in it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(
        graph=lambda figure: Markup(to_html(figure)),
        corners=gallery.corners,
        data=lambda value: '' if value is None else value,
    )
    return environment.get_template('page.html.j2')


def _subtitle(images: Sequence[ImageErrors], radius: float | str) -> str:
    words = f'{len(images)} image{"s" * (len(images) != 1)}'
    if any(image.located for image in images):
        words += f' · a point is right within the {radius_name(radius)}'
    return words


def _notes(images: Sequence[ImageErrors], cases: Sequence[gallery.Case]) -> list[str]:
    notes = []
    no_truth = sum(image.error is None for image in images)
    if no_truth:
        notes.append(f'{no_truth} of {len(images)} images have no truth and are in no error.')
    located = sum(image.located for image in images)
    if 0 < located < len(images):
        notes.append(
            f'Precision, recall and F1 are over the {located} images with true and predicted '
            'points.'
        )
    no_picture = sum(case.picture is None for case in cases)
    if no_picture:
        notes.append(
            f'{no_picture} of the {len(cases)} worst images could not be read; their points are '
            'shown without the picture.'
        )
    return notes


def _numbers(images: Sequence[ImageErrors]) -> dict[str, str]:
    """Names and values at the head of the page."""
    errors = pooled_errors(images)
    forms = (
        ('predicted', 'predicted', lambda value: f'{text.rounded(value, 0):,.0f}'),
        ('true', 'true', lambda value: f'{value:,.0f}'),
        ('MAE', 'MAE', lambda value: f'{value:.2f}'),
        ('RMSE', 'RMSE', lambda value: f'{value:.2f}'),
        ('NAE', 'NAE', lambda value: text.fixed(value, 3)),
        ('bias', 'bias', lambda value: text.signed(value, 2)),
        ('P', 'precision', lambda value: text.fixed(value, 4)),
        ('R', 'recall', lambda value: text.fixed(value, 4)),
        ('F1', 'F1', lambda value: text.fixed(value, 4)),
    )
    numbers = {name: form(errors[key]) for key, name, form in forms if key in errors}
    return {'images': f'{len(images):,}'} | numbers


def _cells(image: ImageErrors) -> list[tuple[Any, str]]:
    """Value and text of each cell in the row of an image."""
    result = image.result
    matches = image.matches if image.located else (None,) * 3
    percent = None if image.relative is None else 100 * image.relative
    return [
        (result.img_id, result.img_id),
        (result.gt_count, text.number(result.gt_count)),
        (result.pred_count, text.number(result.pred_count)),
        (image.error, text.signed(image.error, 1)),
        (image.absolute, text.number(image.absolute)),
        (image.relative, text.signed(percent, 1, ' %')),
        *((value, text.number(value)) for value in matches),
        (image.f1, text.fixed(image.f1, 3)),
    ]
