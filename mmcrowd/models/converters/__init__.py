"""Weights of published programs as weights of our networks, one file for each system.

``convert`` brings them here and ``convert_back``, where there is one, returns them; the commands
are in ``tools/model_converters``.
"""
