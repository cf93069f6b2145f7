"""All that knows napari or Qt.

`hooks` is what the manifest names, `session` the state of one scan, `preferences` what the user has set. `background`
works in threads and saves; `canvas` makes layers of results and puts them into a viewer; `shown` says what docks show,
without Qt; `views` are the plots and patterns in docks; `widgets` are the docks.
"""
