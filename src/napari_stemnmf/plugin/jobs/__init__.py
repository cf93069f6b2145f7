"""Work in threads: runs of the pipeline with progress and cancel, and previews that follow the latest request."""
