"""Load the build of ``fastgd._kernels`` that suits this CPU, or the one that ``FASTGD_ISA`` names."""

import importlib.machinery
import importlib.util
import os
import sys

_BUILDS = os.path.join(os.path.dirname(__file__), "_isa")


def load_kernels() -> str:
    """Import ``fastgd._kernels`` from its best build and return that build's level.

    Every level is compiled from one source; ``base`` and ``avx2`` give the same bits on every CPU, ``fma`` is the
    fastest. The environment variable ``FASTGD_ISA`` picks one by name.

    Raises
    ------
    ImportError
        The level that ``FASTGD_ISA`` names does not exist or cannot run here, or nothing was compiled.
    """
    try:
        from fastgd._cpu import runnable_levels
    except ImportError as error:
        raise ImportError(
            f"fastgd in {os.path.dirname(__file__)} has no compiled kernels. In a source folder, run "
            "`pip install .` and start Python or plain `pytest` (not `python -m pytest`), so that the installed "
            "package is found instead of this folder."
        ) from error
    levels = runnable_levels()
    if forced := os.environ.get("FASTGD_ISA"):
        if forced not in levels:
            raise ImportError(f"FASTGD_ISA={forced!r} cannot be used; this CPU runs {', '.join(levels)}")
        levels = [forced]
    for level in levels:
        spec = importlib.machinery.PathFinder.find_spec("fastgd._kernels", [os.path.join(_BUILDS, level)])
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            return level
    raise ImportError(f"fastgd was installed without its compiled kernels for {', '.join(levels)}: reinstall it")
