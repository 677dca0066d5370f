"""Object storage: one way to name a place, to say how to reach it, and to tell what went wrong.

Everything that reads or writes outside of a Lance dataset goes through `open_store`; what pylance
reads and writes itself gets its options from `lance_options`, made of the same storage block.
"""

from lancemill.storage.broken_answers import listed
from lancemill.storage.explanations import explain
from lancemill.storage.interruptible import each, interruptibly
from lancemill.storage.location import Location, open_store, probe_conditional_put
from lancemill.storage.options import Storage, lance_options
from lancemill.storage.together import together
from lancemill.storage.uris import absolute, display, file_uri, is_local, local_path, scheme_of

__all__ = [
    "Location",
    "Storage",
    "absolute",
    "display",
    "each",
    "explain",
    "file_uri",
    "interruptibly",
    "is_local",
    "lance_options",
    "listed",
    "local_path",
    "open_store",
    "probe_conditional_put",
    "scheme_of",
    "together",
]
