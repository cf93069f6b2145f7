"""All that knows napari or Qt.

`hooks` is what the manifest names, `session` the state of one scan, `preferences` what the user has set. `work` does
things in threads and keeps them; `canvas` makes results layers and puts them into a viewer; `shown` says what docks
show, without Qt; `views` are the plots and patterns in docks; `widgets` are the docks.
"""
