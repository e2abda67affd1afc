"""Colours of figures and pictures."""

# Colours of figures that stay apart for colour-blind readers (Okabe and Ito, 2008).
BLUE = '#0072b2'
VERMILION = '#d55e00'
GREEN = '#009e73'
PURPLE = '#cc79a7'
ORANGE = '#e69f00'
SKY_BLUE = '#56b4e9'
YELLOW = '#f0e442'
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE)  # lines and bars, in this order

INK = '#1d2733'  # text of figures
HELP_LINE = '#8a95a1'
BRIGHT_ORANGE = '#ff6a13'  # vermilion for marks on photos

# Colours of pictures, RGB. Truth and prediction differ in shape too: dots and rings.
TRUTH_COLOR = (0, 225, 255)
PREDICTION_COLOR = (255, 160, 40)
BOX_COLOR = (255, 200, 40)
TEXT_COLOR = (240, 240, 240)
GROUND_COLOR = (20, 20, 24)
