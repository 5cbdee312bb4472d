"""The local stack: the same template, on an AWS emulator, with the real Lambda binaries. `make help` lists its uses.

Standard library only: it runs before anything is installed.
"""

import sys

# Before anything that an older Python could not even read.
if sys.version_info < (3, 11):
    sys.exit(
        "Python 3.11 or later is needed, this is {}.{}: name another, as in `make up PYTHON=python3.12`".format(
            *sys.version_info[:2]
        )
    )
