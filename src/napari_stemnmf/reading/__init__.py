"""Any file -> Dataset: sniffed by content, read lazily, in whole patterns, with normalised units.

`opening.open` is the door. Below it one module a family of formats: `hdf5`, `arrays` (npy, npz, zarr), `images`
(tif, mrc) natively, `rosetta` through the optional RosettaSciIO. They share `blocks` (what reads a part of a file),
`candidates` (which array of a file is the scan) and `units`.
"""
