"""The start page: what a scan is, its first images, *Find grains*, and what was found."""
