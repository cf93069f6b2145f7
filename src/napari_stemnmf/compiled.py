"""Numba's `njit` for the kernels: what is compiled is kept on disk where that is possible, and only where it is.

An installation may lie where nobody can write, in a container or on a shared disk, and its user may have no home; a
disk may be full. Numba itself gives up then, at the import of the first kernel or in the middle of a run.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache

logger = logging.getLogger(__name__)


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with options; of a kernel that cannot be kept on disk, each process compiles its own.

    ``NUMBA_CACHE_DIR`` names another place to keep them.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        if not options.get("cache"):
            return numba.njit(**options)(function)
        kernel = numba.njit(**{**options, "cache": False})(function)
        try:
            kernel._cache = _Kept(function)
        except (RuntimeError, OSError):
            logger.info("What is compiled of %s cannot be kept on disk; NUMBA_CACHE_DIR names a place.", function)
        return kernel

    return compiled


class _Kept(FunctionCache):
    """What was compiled of a kernel, on disk; one that cannot be read or written is compiled again."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # cut off, or not readable
            logger.info("A compiled kernel cannot be read (%s); it is compiled again.", error)
            with contextlib.suppress(Exception):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:  # a full disk
            logger.info("A compiled kernel cannot be kept (%s).", error)
