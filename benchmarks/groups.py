"""Which libraries stand side by side in each group of cases."""

from __future__ import annotations

from benchmarks import adapters as linear
from benchmarks import adaptive, estimators, networks, sparse
from benchmarks.adapters import Adapter, FastgdPass
from benchmarks.cases import ADAPTIVE, FITS, IN_ORDER, NETWORKS, ONE_A_CALL, SINGLE_ROWS, SPARSE, Case

ADAPTERS: dict[str, dict[str, type[Adapter]]] = {
    IN_ORDER: {"fastgd": FastgdPass, "Numba": linear.NumbaLoop, "scikit-learn": linear.SklearnFit},
    ONE_A_CALL: {
        "fastgd": linear.FastgdStep, "NumPy by hand": linear.NumpyStep, "river": linear.RiverStep,
        "torch": linear.TorchStep, "scikit-learn": linear.SklearnStep,
    },
    NETWORKS: {
        "fastgd": FastgdPass, "Numba": networks.NumbaLoop, "JAX": networks.JaxScan,
        "JAX, unrolled": networks.JaxUnrolled, "torch": networks.TorchLoop,
    },
    SPARSE: {"fastgd": FastgdPass, "scikit-learn": sparse.SklearnFit, "Vowpal Wabbit": sparse.VowpalWabbit},
    ADAPTIVE: {
        "fastgd": FastgdPass, "Numba": adaptive.NumbaLoop, "Numba, error_model=numpy": adaptive.NumbaVectors,
    },
    FITS: {"fastgd": estimators.OurFit, "scikit-learn": estimators.TheirFit},
    SINGLE_ROWS: {"fastgd": estimators.OurRows, "scikit-learn": estimators.TheirRows},
}  # fmt: skip

FLOAT32_ALONE = {"Vowpal Wabbit"}  # whose weights have no other dtype


def adapters(case: Case) -> dict[str, type[Adapter]]:
    """Return the libraries that can do the case's work, by name."""
    able = ADAPTERS[case.group].items()
    return {name: adapter for name, adapter in able if case.dtype == "float32" or name not in FLOAT32_ALONE}
