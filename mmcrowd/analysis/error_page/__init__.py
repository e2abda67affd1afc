"""The errors of one test run as one HTML page that needs no network."""

try:
    import jinja2  # noqa: F401
    import plotly  # noqa: F401
except ImportError as error:
    raise ImportError(
        "the error page needs plotly and Jinja2: pip install 'mmcrowd[report]'"
    ) from error

from .page import build_error_page

__all__ = ['build_error_page']
