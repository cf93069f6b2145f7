"""What the user has set under File > Preferences > STEM-NMF, and what follows from it. No napari before it is asked.

The settings are declared in the manifest's ``configurations``; napari keeps them and shows their form.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.streaming.cluster import Cluster, Schedulers

PLUGIN = "napari-stemnmf"
GROUPS = {
    "threads": "computing",
    "memory_gb": "computing",
    "scheduler": "computing",
    "gui_priority": "computing",
    "colormap": "display",
    "scaling": "display",
    "start_page": "display",
    "autosave": "saving",
}
"""The manifest's configuration that each preference is declared in."""


@dataclass(frozen=True)
class Preferences:
    """The plugin's preferences; the defaults are those of the manifest.

    Attributes
    ----------
    threads : int
        Threads that compute; 0 for all cores.
    memory_gb : float
        Memory [GB] that reading a scan may take, and that may keep what was read.
    colormap : str
        Of patterns, a name that napari knows.
    scaling : str
        Of patterns: "log", "sqrt" or "linear".
    autosave : bool
        Whether the analysis is saved after each step and edit.
    scheduler : str
        Address of a dask scheduler whose workers read and compute, as in "tcp://host:8786"; empty for this machine.
    start_page : bool
        Whether the dock with the start page opens with the first scan of a window where no other of ours is open.
    gui_priority : bool
        Whether, while threads compute, Python hands its lock to the window sooner and collects garbage in the window's
        thread only.
    """

    threads: int = 0
    memory_gb: float = 2.0
    colormap: str = "inferno"
    scaling: str = "log"
    autosave: bool = True
    scheduler: str = ""
    start_page: bool = True
    gui_priority: bool = False

    @property
    def memory_bytes(self) -> int:
        """`memory_gb` in bytes."""
        return int(self.memory_gb * 1e9)

    def workers(self, dataset: Dataset | None = None) -> int:
        """Threads to compute with: as many as are wanted and as the memory holds blocks of the scan for, at least 1."""
        from napari_stemnmf.streaming.engine import blocks
        from napari_stemnmf.streaming.pools import AHEAD
        from napari_stemnmf.threads import default_workers

        wanted = self.threads or default_workers()
        if dataset is None:
            return wanted
        largest = max((block.size for block in blocks(dataset)), default=1)
        rows, columns = dataset.detector_shape
        in_memory = self.memory_bytes // max(1, largest * rows * columns * dataset.dtype.itemsize)
        return max(1, min(wanted, in_memory - AHEAD))

    def executor(self) -> Cluster | None:
        """What runs the blocks of a read on the scheduler's workers; None for threads of this machine.

        Raises
        ------
        StemNMFError
            If there is no scheduler at the address, no ``dask.distributed``, or a worker has other versions.
        """
        if not self.scheduler.strip():
            return None
        return schedulers().executor(self.scheduler.strip())


def set_scheduler(address: str) -> None:
    """Change the preference, as its form would."""
    from napari.settings import get_plugin_settings

    group = getattr(get_plugin_settings().get(PLUGIN), GROUPS["scheduler"], None)
    if group is not None and group.scheduler != address:
        group.scheduler = address


@cache
def schedulers() -> Schedulers:
    """The plugin's connections to dask schedulers, kept while napari runs."""
    from napari_stemnmf.streaming.cluster import Schedulers

    return Schedulers()


def preferences() -> Preferences:
    """The preferences as they are now; the defaults where napari does not know the plugin's."""
    from napari.settings import get_plugin_settings

    groups = get_plugin_settings().get(PLUGIN)
    values = {field.name: getattr(groups, GROUPS[field.name], None) for field in fields(Preferences)}
    return Preferences(**{name: getattr(group, name) for name, group in values.items() if hasattr(group, name)})
