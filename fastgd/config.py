"""What this installation of fastgd is."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np

from fastgd import _kernels
from fastgd._cpu import runnable_levels


def show_config() -> dict[str, str]:
    """Return the version, the instruction set in use, and the compiler and flags that made it.

    Returns
    -------
    dict of str to str
        ``version``, ``isa`` (``"base"``, ``"avx2"`` or ``"fma"``; the environment variable ``FASTGD_ISA`` picks one),
        ``isa_available``, ``compiler``, ``flags``, ``python``, ``numpy``.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.show_config()["isa"] in ("base", "avx2", "fma")
    True
    """
    from importlib.metadata import version  # here, because it takes as long to import as all of fastgd

    return {
        "version": version("fastgd"),
        "isa": Path(_kernels.__file__).parent.name,
        "isa_available": ", ".join(runnable_levels()),
        **_kernels.build_info(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
