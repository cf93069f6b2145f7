"""All that knows napari or Qt.

`hooks` is what the manifest names; `session` keeps the state of one scan and says it in words, without Qt; `layers`
turns results into layer data and `display` puts them into a viewer; `jobs` runs steps in threads; `forms` makes a form
from any settings dataclass; `widgets` are the steps' docks.
"""
