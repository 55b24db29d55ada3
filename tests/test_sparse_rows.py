"""One output and plain SGD on CSR rows, which have a pass of their own: like the reference, and undone to the byte."""

from __future__ import annotations

import itertools
from importlib import import_module

import numpy as np
import pytest
import scipy.sparse

import fastgd
from fastgd import _kernels, losses
from fastgd.method import Method
from fastgd.rules import Rules

from .passes import RUN_TOLERANCE, Pass, compare

NEAR, FAR = 300, 2**18 + 5  # columns: the weights of FAR are more than a megabyte in both dtypes
N = 60


def make(d, dtype, loss=None, index="int32", bias=True, lr=0.05, penalty=None, chosen=None, **options):
    """Return a pass over rows of 0 to 40 numbers, and one of 3000 where columns are so many, in shuffled order.

    ``chosen`` are choices of the method besides a rate and an L2 penalty.
    """
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 41, N)
    counts[7] = min(d, 3000)
    indices = np.concatenate([np.sort(rng.choice(min(d, 5000), n, replace=False)) for n in counts]) * (
        d // min(d, 5000)
    )
    indptr = np.concatenate([[0], np.cumsum(counts)])
    values = (rng.normal(size=indices.size) / np.repeat(np.maximum(counts, 1), counts) ** 0.5).astype(dtype)
    X = scipy.sparse.csr_array((values, indices.astype(index), indptr.astype(index)), shape=(N, d))
    net = fastgd.Linear(d, 1, bias=bias, dtype=dtype)
    net.params[:] = rng.normal(size=net.params.size)
    T = rng.integers(0, 2, (N, 1)).astype(dtype)
    order = np.concatenate([rng.permutation(N) for _ in range(3)]) if d == NEAR else rng.permutation(N)
    loss = losses.LogLoss() if loss is None else loss
    method = Method.make(
        loss, (d, 1), optimizer=fastgd.SGD(lr=lr), penalty=None if penalty is None else fastgd.penalties.L2(penalty),
        **({} if chosen is None else chosen),
    )  # fmt: skip
    return Pass(net, X, T, loss, method, order=order, **options)


@pytest.mark.parametrize("d", [NEAR, FAR])
@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("penalty", [None, 0.01, 4.0, 40.0])  # 4: the factor falls below 2⁻¹⁰; 40: it is negative
def test_like_the_reference(dtype, d, index, bias, penalty):
    compare(make(d, dtype, None, index, bias, penalty=penalty), RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("d", [NEAR, FAR])
@pytest.mark.parametrize("loss", [losses.LogLoss(), losses.Hinge(), losses.SquaredError()], ids=lambda loss: loss.name)
def test_losses_and_weights_of_samples(dtype, d, loss):
    weights = np.random.default_rng(1).integers(0, 3, N).astype(dtype)
    compare(make(d, dtype, loss, penalty=0.01, weights=weights), RUN_TOLERANCE[dtype])


RULES = {
    "none": Rules(),
    "sklearn": Rules(intercept_decay=0.01, slope_limit=1e12, objective=True),
    "all": Rules(
        intercept_decay=0.5, bias_pull=0.1, slope_limit=0.5, visit_zero_weight=True, pass_over_zeros=True,
        objective=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("d", [NEAR, FAR])
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "pa1", "pa2"])
def test_rules_and_schedules(dtype, d, rules, schedule):
    weights = np.random.default_rng(1).integers(0, 3, N).astype(dtype)
    chosen = {"rules": RULES[rules], "schedule": schedule}
    allowed = [losses.Hinge()] if schedule.startswith("pa") else [losses.LogLoss(), losses.SquaredError()]
    kinds = [("int32", True, 0.01), ("int64", False, 0.01), ("int32", True, None)]
    for (index, bias, penalty), loss in itertools.product(kinds, allowed) if d == NEAR else [(kinds[0], allowed[0])]:
        compare(make(d, dtype, loss, index, bias, 0.05, penalty, chosen, weights=weights), RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("d", [NEAR, FAR])
@pytest.mark.parametrize("penalty", [None, 4.0])
def test_a_pass_that_fails_is_undone(dtype, d, penalty):
    given = make(d, dtype, penalty=penalty)
    place = int(np.flatnonzero(given.order == 7)[0])
    given.X.data[given.X.indptr[7]] = np.nan
    after = given.copy()
    assert after.run(_kernels) == place > 0
    assert after.params.tobytes() == given.params.tobytes()
    assert not after.counters.any()
    assert not after.totals.any()


@pytest.mark.parametrize("d", [NEAR, FAR])
def test_a_weight_that_no_row_reads_again_is_seen_to_overflow(d):
    given = make(d, "float32", losses.SquaredError(), lr=1e20)
    given.order = np.array([7])
    given.X.data[:] = 1e15
    given.params[:] = 0
    given.T[:] = 1e10
    after = given.copy()
    assert after.run(_kernels) == 0
    assert after.params.tobytes() == given.params.tobytes()


@pytest.mark.parametrize("d", [NEAR, FAR])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_base_and_avx2_give_the_same_bytes(dtype, d, index):
    trained = []
    for level in sorted({"base", "avx2"} & set(fastgd.show_config()["isa_available"].split(", "))):
        given = make(d, dtype, index=index, penalty=0.01)
        assert given.run(import_module(f"fastgd._isa.{level}._kernels")) == -1
        trained.append((given.params.tobytes(), given.totals.tobytes()))
    assert len(set(trained)) == 1
