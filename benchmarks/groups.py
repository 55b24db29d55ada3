"""Which libraries stand side by side in each group of cases."""

from __future__ import annotations

from benchmarks import adapters as linear
from benchmarks import adaptive, cases, estimators, limits, networks, outputs, sparse
from benchmarks.adapters import Adapter, FastgdPass
from benchmarks.estimator_cases import FitCase

READING, PRODUCT = "reading X", "matrix product"

ADAPTERS: dict[str, dict[str, type[Adapter]]] = {
    cases.IN_ORDER: {
        "fastgd": FastgdPass, "Numba": linear.NumbaLoop, "scikit-learn": linear.SklearnFit, READING: limits.Reading,
    },
    cases.FROM_MEMORY: {"fastgd": FastgdPass, "Numba": linear.NumbaLoop, READING: limits.Reading},
    cases.ONE_A_CALL: {
        "fastgd": linear.FastgdStep, "NumPy by hand": linear.NumpyStep, "river": linear.RiverStep,
        "torch": linear.TorchStep, "scikit-learn": linear.SklearnStep,
    },
    cases.SEVERAL: {
        "fastgd": FastgdPass, "Numba": outputs.NumbaLoop, "Numba, no fastmath": outputs.PlainLoop,
        "scikit-learn": outputs.SklearnOneVsAll, READING: limits.Reading,
    },
    cases.NETWORKS: {
        "fastgd": FastgdPass, "Numba": networks.NumbaLoop, "JAX": networks.JaxScan,
        "JAX, unrolled": networks.JaxUnrolled, "torch": networks.TorchLoop, READING: limits.Reading,
    },
    cases.SPARSE: {
        "fastgd": FastgdPass, "scikit-learn": sparse.SklearnFit, "Vowpal Wabbit": sparse.VowpalWabbit,
        READING: limits.Reading,
    },
    cases.ADAPTIVE: {
        "fastgd": FastgdPass, "Numba": adaptive.NumbaLoop, "Numba, error_model=numpy": adaptive.NumbaVectors,
        READING: limits.Reading,
    },
    cases.FITS: {"fastgd": estimators.OurFit, "scikit-learn": estimators.TheirFit, READING: limits.FitReading},
    cases.SMALL_FITS: {"fastgd": estimators.OurFit, "scikit-learn": estimators.TheirFit},
    cases.SINGLE_ROWS: {"fastgd": estimators.OurRows, "scikit-learn": estimators.TheirRows},
    cases.PEAK: {PRODUCT: limits.Product},
}  # fmt: skip


def adapters(case: cases.Case) -> dict[str, type[Adapter]]:
    """Return the libraries that can do the case's work, by name."""
    able = dict(ADAPTERS[case.group])
    if case.dtype != "float32":
        able.pop("Vowpal Wabbit", None)  # whose weights have no other dtype
    if getattr(case, "loss", "") == "sse":
        able.pop("scikit-learn", None)  # whose SGDRegressor has one output
    if getattr(case, "shuffled", False):  # as they are not written for here, or would take too long
        able = {name: able[name] for name in ("fastgd", "Numba", READING)}
    if isinstance(case, FitCase) and (case.nonzeros or case.classes > 2):
        able.pop(READING, None)  # whose rows are dense and visited once an epoch
    return able
