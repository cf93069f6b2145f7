"""The pattern of the probe position in Review, read in a thread and only while somebody looks at it."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

from napari_stemnmf.plugin.docks.review.pictures import GrainPictures
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.patterns.scan_patterns import Picture, PictureMaker, PictureRequest
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.texts import shown


class PositionPictures(PictureMaker):
    """Reads the pattern of a position as the analysis has it: cropped, binned and cleaned."""

    def __call__(self, request: PictureRequest) -> tuple[Picture, tuple[int, int]]:
        """The pattern, and whose it is."""
        return Picture(self._pattern(request)), request.position


class OwnPattern:
    """Follows the probe of a session, and gives its pattern to the pictures of a grain."""

    def __init__(self, pictures: GrainPictures, parent: QWidget) -> None:
        self._pictures, self._session = pictures, None  # type: GrainPictures, Session | None
        self._preview = Preview(PositionPictures(), parent)
        self._preview.ready.connect(self._on_ready)
        self._preview.failed.connect(lambda error: pictures.show_position(None, shown(error)))
        pictures.position_wanted.connect(self._ask)

    def follow(self, session: Session | None) -> None:
        """Be of another scan, or of none."""
        if session is self._session:
            return
        if self._session is not None:
            self._session.probe_moved.disconnect(self._on_moved)
        self._session = session
        self._preview.drop()
        self._pictures.show_position(None, "")
        if session is not None:
            session.probe_moved.connect(self._on_moved)
            self._ask()

    def close(self) -> None:
        """Read nothing any more."""
        self.follow(None)
        self._preview.close()

    def _on_moved(self, *_: Any) -> None:
        self._ask()

    def _ask(self) -> None:
        session = self._session
        if session is None or self._pictures.kind != "position":
            return
        self._preview.ask(
            PictureRequest(session.dataset, session.analysis, session.recipe, "position", session.position)
        )

    def _on_ready(self, found: tuple[Picture, tuple[int, int]]) -> None:
        picture, (row, column) = found
        self._pictures.show_position(picture.image, f"pattern at ({row}, {column})")
