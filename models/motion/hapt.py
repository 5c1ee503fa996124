"""Reads the UCI HAPT recordings out of the package that carries them.

The package holds a pickle of pandas frames from before pandas 1.0. Only numpy arrays are rebuilt
from it: every pandas class is replaced by an inert stub and every other class is refused, so that
nothing in the file is run.
"""

import codecs
import gzip
import io
import pickle
import tarfile

import numpy as np

try:
    from numpy._core.multiarray import _reconstruct
except ImportError:
    from numpy.core.multiarray import _reconstruct

COLUMNS = ("acc-x", "acc-y", "acc-z", "label")


class Stub:
    """Stands for a pandas object: keeps its state and does nothing."""

    def __new__(cls, *_args, **_kwargs):
        return object.__new__(cls)

    def __init__(self, *_args, **_kwargs):
        pass

    def __setstate__(self, state):
        self.state = state


ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): codecs.encode,
}
BUILT_IN = {
    "slice": slice,
    "object": object,
    "_new_Index": lambda _cls, state: state,
    "_reconstructor": lambda cls, _base, _state: cls(),
}


class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if name in BUILT_IN:
            return BUILT_IN[name]
        if module.startswith("pandas."):
            return type(name, (Stub,), {})
        raise pickle.UnpicklingError(f"refused {module}.{name}")


def table(frame):
    """The columns' names and the values [rows, columns] of a stubbed frame."""
    state = frame.state
    if isinstance(state, dict):
        state = state.get("_data", state.get("_mgr"))
    state = getattr(state, "state", state)[3]["0.14.1"]
    names = state["axes"][0]
    names = list(names["data"] if isinstance(names, dict) else names)
    values = np.zeros((state["blocks"][0]["values"].shape[1], len(names)))
    for block in state["blocks"]:
        where = block["mgr_locs"]
        where = np.arange(len(names))[where] if isinstance(where, slice) else np.asarray(where)
        values[:, where] = block["values"].T
    return names, values


def recordings(sdist):
    """(subject, samples [n, 4]) per recording: acceleration x, y, z in g and the label."""
    with tarfile.open(sdist) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("HAPT.pkl.gz"))
        raw = gzip.decompress(archive.extractfile(member).read())
    frames = Reader(io.BytesIO(raw), encoding="latin1").load()
    for subject in sorted(frames):
        for frame in frames[subject]:
            names, values = table(frame)
            yield int(subject), values[:, [names.index(c) for c in COLUMNS]].astype(np.float32)
