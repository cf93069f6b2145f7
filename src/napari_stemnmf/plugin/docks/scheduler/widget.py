"""The dask scheduler of the preferences: its address, and a test of the connection, as napari's form has no buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, Label, LineEdit, PushButton
from qtpy.QtWidgets import QSizePolicy

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.preferences import preferences, set_scheduler

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

HERE = "No address: the threads of this machine compute."


class SchedulerWidget(Container[Any]):
    """Address of a scheduler, and who answers there.

    Attributes
    ----------
    address : LineEdit
        That of the preferences, which change with it.
    test_button : PushButton
    answer : Label
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.address = LineEdit(name="address", label="scheduler", value=preferences().scheduler)
        self.address.native.setPlaceholderText("tcp://host:8786")
        self.address.tooltip = "address of a dask scheduler whose workers read and compute; empty for this machine"
        self.test_button = PushButton(name="test_button", text="Test the connection")
        self.test_button.tooltip = "ask who answers there: workers, threads and versions, or what is wrong"
        self.answer = Label(name="answer", label=" ", value="" if self.address.value else HERE)
        self.answer.native.setWordWrap(True)
        super().__init__(name="scheduler", labels=True)
        self.extend([self.address, self.test_button, self.answer])
        self.native.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.address.native.editingFinished.connect(self._on_address)
        self.test_button.clicked.connect(self._on_test)

    def _on_address(self) -> None:
        set_scheduler(self.address.value.strip())

    def _on_test(self) -> None:
        from napari.qt.threading import create_worker  # it brings numba

        self._on_address()
        address = self.address.value.strip()
        if not address:
            self.answer.value = HERE
            return
        self.test_button.enabled = False
        self.answer.value = f"Asking {address} ..."
        worker = create_worker(_look, address, _start_thread=False)
        worker.returned.connect(self._on_answer)
        worker.start()

    def _on_answer(self, told: str) -> None:
        self.answer.value = told
        self.test_button.enabled = True


def _look(address: str) -> str:
    """Who answers, or what is wrong; runs in a thread."""
    from napari_stemnmf.streaming.connection import described

    try:
        return described(address)
    except StemNMFError as error:
        return str(error)
    except Exception as error:  # whatever a library raises: the button is to come back
        return f"{address} cannot be asked: {type(error).__name__}: {error}"
