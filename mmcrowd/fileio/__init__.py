"""The ground floor: files and images. Imports nothing of mmcrowd."""
