"""One file for everything that is saved: a .npz archive of arrays beside a JSON header, written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

HEADER = "header.json"
VERSION = 1


def write(path: str | os.PathLike[str], format: str, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write the arrays and the header, which JSON must be able to hold, to one file, atomically.

    They are written beside the file, flushed to disk and renamed over it, so that a crash leaves the old file whole.
    What is there already is replaced only if it is a regular file; a link is followed.
    """
    import json  # here and below, because they take longer to import than the rest of fastgd

    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"{path} is not a regular file, so it cannot be replaced by one")
    text = json.dumps({"format": format, "version": VERSION, **header}, default=_plain)
    beside = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    file = open(beside, "xb")  # noqa: SIM115 - closed below; what could not be created must not be removed
    try:
        with file:
            np.savez(file, **{HEADER: np.frombuffer(text.encode(), np.uint8)}, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        if os.path.exists(beside):
            os.remove(beside)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved: JSON has no place for {type(value).__name__}")


def read(path: str | os.PathLike[str], format: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the header and the arrays of a file that :func:`write` made for the same format.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is not such a file, or damaged; the message says what is wrong with it.
    """
    import json
    import zipfile

    path = os.fspath(path)
    if not zipfile.is_zipfile(path):
        with open(path, "rb"):  # a missing file is an OSError
            raise ValueError(f"{path} is not a {format} file: it is no .npz archive, or it was cut short")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
    except KeyError:
        raise ValueError(f"{path} is not a {format} file: it has no header") from None
    except Exception as error:  # a damaged archive fails in many ways: zlib, zipfile, NumPy, JSON
        raise ValueError(f"{path} is damaged or is not a {format} file: {error}") from None
    if not isinstance(header, dict) or header.get("format") != format:
        found = header.get("format") if isinstance(header, dict) else header
        raise ValueError(f"{path} holds {found!r}, not {format!r}")
    if header.get("version") != VERSION:
        raise ValueError(f"{path} has version {header.get('version')!r}; this fastgd reads version {VERSION}")
    return header, arrays


def array(path: str | os.PathLike[str], arrays: Mapping[str, Array], name: str, like: Array) -> Array:
    """Return the array of that name, or refuse the file if it is missing or not of the shape and dtype of ``like``."""
    if name not in arrays:
        raise ValueError(f"{os.fspath(path)} is damaged: it has no array {name!r}")
    found = arrays[name]
    if found.shape != like.shape or found.dtype != like.dtype:
        raise ValueError(
            f"{os.fspath(path)} is damaged: array {name!r} is {found.dtype}{found.shape}, not {like.dtype}{like.shape}"
        )
    return found
