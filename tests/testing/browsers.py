"""A Chromium of the system, for the tests of pages."""

import os
import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
MINUTES = 60_000  # milliseconds, for a browser on a busy machine


@contextmanager
def open_browser(*args):
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f'none of {", ".join(BROWSERS)} is on the PATH'
        # A run that is known to have everything must not pass by skipping.
        if os.environ.get('MMCROWD_REQUIRE_DATA'):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, timeout=10 * MINUTES, args=list(args)
        )
        yield browser
        browser.close()
