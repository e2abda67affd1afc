"""The errors of one test run as one HTML page that needs no network."""

from .page import build_error_page

__all__ = ['build_error_page']
