"""Optional packages: imported when they are first needed, and named with the extra that brings them when missing."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str, extra: str, what: str) -> Any:
    """Import and return the module that ``what`` needs.

    Raises
    ------
    ImportError
        It is not installed; the message names the command that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"{what} needs {package}, which is not installed: pip install 'fastgd[{extra}]'") from error
