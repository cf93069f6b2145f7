"""The former name of `preprocessing`, for scripts of version 0.4."""
