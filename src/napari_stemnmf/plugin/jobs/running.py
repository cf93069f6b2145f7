"""What a session knows of the work that is running for it. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_stemnmf.control import Progress


class Running:
    """What is known of a step that is running; its thread writes `progress`, widgets read it."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.part = ""  # "2/5" where it is a part of a longer run
        self.progress: Progress | None = None

    def cancel(self) -> None:
        """Ask it to stop and keep what it has."""
        raise NotImplementedError

    def line(self) -> str:
        """Stage and message for the progress bar."""
        stage = self.title if self.progress is None else self.progress.stage or self.title
        message = "starting" if self.progress is None else self.progress.message
        return f"{self.part} {stage}{f': {message}' if message else ''}".lstrip()
