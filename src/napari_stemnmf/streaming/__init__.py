"""One read of the data feeds many kernels: the engine, and the survey that every run starts with."""
