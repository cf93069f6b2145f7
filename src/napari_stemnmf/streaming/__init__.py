"""One read of the data feeds many kernels: the engine, virtual images and a live copy of a scan."""
