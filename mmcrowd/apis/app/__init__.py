"""The page of ``mmcrowd app``; only ``page.py`` and ``server.py`` need Gradio."""
