"""The ground floor: geometry of points and cells. Imports nothing of mmcrowd."""
