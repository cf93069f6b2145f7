"""``python -m napari_stemnmf.cli``: the same as ``stemnmf``."""

import sys

from napari_stemnmf.cli import main

if __name__ == "__main__":
    sys.exit(main())
