from pathlib import Path
from xml.etree import ElementTree

from mmcrowd.fileio.problems import Problems

from .shapes import LabelledImage, Shape, number_or_text, size_or_none


def read_cvat(path: Path, problems: Problems) -> list[LabelledImage]:
    """XML of "CVAT for images 1.1"; an element ``points`` may hold several persons."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # or an unknown encoding
        raise ValueError(f'{path}: not valid XML ({error})') from error
    if root.tag != 'annotations' or root.find('track') is not None:
        raise ValueError(f'{path}: expected the export "CVAT for images 1.1", without tracks')
    images = []
    for i, element in enumerate(root.findall('image')):
        name = element.get('name', '')
        width, height = (number_or_text(element.get(key)) for key in ('width', 'height'))
        size = size_or_none(width, height)
        image = LabelledImage(f'{path}: image[{i}]', name, size)
        for k, child in enumerate(element):
            where, label = f'{image.where} ({name}), {child.tag}[{k}]', child.get('label', '')
            if child.tag == 'points':
                for pair in child.get('points', '').split(';'):
                    values = tuple(number_or_text(value.strip()) for value in pair.split(','))
                    image.shapes.append(Shape(where, label, values))
            elif child.tag == 'box':
                corners = ('xtl', 'ytl', 'xbr', 'ybr')
                values = tuple(number_or_text(child.get(corner)) for corner in corners)
                image.shapes.append(Shape(where, label, values))
            elif child.tag != 'tag':  # a tag is about the whole image
                image.shapes.append(Shape(where, label, problem='expected points or a box'))
        images.append(image)
    return images
