"""Data sets on disk: the DAVIS layout, its images, importing, getting and checking."""
