"""The door for targets: what each kind of loss takes, how it is kept, and what is refused with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from fastgd import data, losses

LARGEST = float(np.finfo(np.float32).max)
SHARES = [[0.5, 0.25, 0.25], [1, 0, 0], [0, 0.125, 0.875]]

#: by kind: targets, how many outputs the model has, and what a pass is to read (the same if None)
GOOD = {
    "real": [
        ([1.5, -2.5, 0.0], 1, None),
        ([[1.5], [-2.5], [LARGEST]], 1, None),
        ([[1, 2], [-3, 4], [0, 0]], 2, None),
        ([True, False, True], 1, [[1], [0], [1]]),
    ],
    "binary": [
        ([0, 1, 1], 1, None),
        ([True, False, True], 1, [[1], [0], [1]]),
        ([0.25, 0.75, 1.0], 1, None),
        ([-1, 1, 1], 1, [[0], [1], [1]]),
        ([-1.0, -1.0, -1.0], 1, [[0], [0], [0]]),
        ([[0, 1], [1, 0.5], [0, 0]], 2, None),
        ([[-1, 1], [1, 1], [1, -1]], 2, [[0, 1], [1, 1], [1, 0]]),
        ([1, 1, 1], 1, None),
    ],
    "labels": [
        ([0, 1, 1], 1, None),
        ([True, False, True], 1, [[1], [0], [1]]),
        ([-1, 1, 1], 1, [[0], [1], [1]]),
        ([-1.0, -1.0, -1.0], 1, [[0], [0], [0]]),
        ([[0, 1], [1, 0], [0, 0]], 2, None),
        ([[-1, 1], [1, 1], [1, -1]], 2, [[0, 1], [1, 1], [1, 0]]),
        ([1, 1, 1], 1, None),
        ([0, 0, 0], 1, None),
    ],
    "non-negative": [([0, 3, 1.5], 1, None), ([[0, 7], [1e30, 0], [0, 0]], 2, None), ([0, 0, 0], 1, None)],
    "positive": [([0.5, 3, 1e-30], 1, None), ([[1, 7], [1e30, 1], [2, 2]], 2, None)],
    "classes": [
        ([0, 2, 1], 3, [[0], [2], [1]]),
        ([[0], [2], [1]], 3, [[0], [2], [1]]),
        ([0.0, 2.0, 1.0], 3, [[0], [2], [1]]),
        ([True, False, True], 2, [[1], [0], [1]]),
        ([0, 1, 0], 2, [[0], [1], [0]]),
        ([[1, 0, 0], [0, 0, 1], [0, 1, 0]], 3, None),
        ([[True, False], [False, True], [False, True]], 2, [[1, 0], [0, 1], [0, 1]]),
        (SHARES, 3, None),
        (np.array(SHARES) * (1 + 9e-7), 3, None),
        ([[0.5, 0.5], [0, 1], [1, 0]], 2, None),
    ],
}

#: by kind: targets that are refused, how many outputs the model has, and what the message says
BAD = {
    "real": [
        ([1, 2], 1, r"t has shape \(2,\); allowed is \(3, 1\) or \(3,\)"),
        ([1, 2, 3], 2, r"t has shape \(3,\); allowed is \(3, 2\)$"),
        ([[1, 2, 3]], 1, r"t has shape \(1, 3\); allowed is \(3, 1\) or \(3,\)"),
        ([[[1]], [[2]], [[3]]], 1, r"t has shape \(3, 1, 1\); allowed is \(3, 1\) or \(3,\)"),
        ([1, np.nan, 3], 1, "t has nan in row 1; targets must be finite in float"),
        ([[1, 2], [3, 4], [5, -np.inf]], 2, "t has -inf in row 2; targets must be finite in float"),
    ],
    "binary": [
        ([0, 1, 2], 1, "t has 2 in row 2, beside values from 0 to 2; loss 'log_loss' takes 0 and 1, or -1 and"),
        ([0, 1, 2], 1, r"-1 and \+1, or probabilities in \[0, 1\]"),
        ([-1, 0, 1], 1, "t has 0 in row 1, beside values from -1 to 1"),
        ([-1, 0.5, -2], 1, "t has -2.0 in row 2, beside values from -2 to 0.5"),
        ([[0, 1], [0.5, -0.5], [0, 0]], 2, "t has -0.5 in row 1, beside values from -0.5 to 1"),
        ([np.nan, 0, 1], 1, "t has nan in row 0; targets must be finite"),
        ([0, 1], 1, r"t has shape \(2,\); allowed is"),
    ],
    "labels": [
        ([0, 0.5, 1], 1, r"t has 0.5 in row 1, beside values from 0 to 1; loss '\w+' takes 0 and 1, or -1 and \+1$"),
        ([0, 0.9999, 1], 1, "t has 0.9999 in row 1"),
        ([0, 1, 2], 1, "t has 2 in row 2, beside values from 0 to 2"),
        ([-1, 0, 1], 1, "t has 0 in row 1, beside values from -1 to 1"),
        ([-1, -1, 0.5], 1, "t has 0.5 in row 2, beside values from -1 to 0.5"),
        ([[0, 1], [1, -1], [0, 0]], 2, "t has 0 in row 0, beside values from -1 to 1"),
        ([0, 1, np.inf], 1, "t has inf in row 2; targets must be finite"),
    ],
    "non-negative": [
        ([0, 1, -1], 1, r"t has -1 in row 2; loss '\w+' takes numbers of at least 0"),
        ([[0, 1], [1, -1e-30], [0, 0]], 2, "t has -1e-30 in row 1; loss"),
        ([0, 1, np.nan], 1, "t has nan in row 2; targets must be finite"),
    ],
    "positive": [
        ([1, 0, -1], 1, r"t has 0 in row 1; loss '\w+' takes numbers above 0 in float"),
        ([[1, 1], [1, -2.5], [1, 1]], 2, "t has -2.5 in row 1; loss"),
        ([1, 1, np.inf], 1, "t has inf in row 2; targets must be finite"),
    ],
    "classes": [
        ([0, 1, 3], 3, "t has 3 in row 2; loss 'cross_entropy' takes the index of a class, a whole number from 0 to 2"),
        ([0, -1, 1], 3, "t has -1 in row 1; loss 'cross_entropy' takes the index of a class"),
        ([[0], [1], [2]], 2, "t has 2 in row 2; loss 'cross_entropy' takes the index .* from 0 to 1"),
        ([0, 0.5, 1], 3, "t has 0.5 in row 1; loss 'cross_entropy' takes the index of a class"),
        ([0, np.nan, 1], 3, "t has nan in row 1; loss 'cross_entropy' takes the index of a class"),
        ([0, np.inf, 1], 3, "t has inf in row 1; loss 'cross_entropy' takes the index of a class"),
        (np.array([0, 2**63, 1], np.uint64), 3, "t has 9223372036854775808 in row 1"),
        (np.array([0, -(2**63), 1]), 3, "t has -9223372036854775808 in row 1"),
        ([0, 1], 3, r"t has shape \(2,\); allowed is \(3,\) or \(3, 1\) for classes, \(3, 3\) for probabilities"),
        ([[0, 1]] * 3, 3, r"t has shape \(3, 2\); allowed is \(3,\) or \(3, 1\) for classes, \(3, 3\) for prob"),
        ([[[0]], [[1]], [[0]]], 2, r"t has shape \(3, 1, 1\); allowed is"),
        ([[0.5, 0.5, 0], [0.5, 0.5, 0.5], [1, 0, 0]], 3, r"t sums to 1.5 in row 1; .* a probability, which sum to 1"),
        ([[0, 0, 0], [0, 0, 1], [0, 1, 0]], 3, "t sums to 0 in row 0"),
        ([[1, 0, 0], [0, 0, 1], [-0.5, 0.5, 1]], 3, "t has -0.5 in row 2; loss 'cross_entropy' takes for each class a"),
        ([[1, 0], [0, np.nan], [0, 1]], 2, "t has nan in row 1; targets must be finite"),
        (np.array(SHARES) * (1 + 3e-4), 3, "t sums to 1.0003 in row 0"),
        ([0, 0, 0], 1, "loss 'cross_entropy' takes a model with an output for each of 2 or more classes, not with 1"),
        ([[1], [1], [1]], 1, "loss 'cross_entropy' takes a model with an output for each of 2 or more classes, not"),
    ],
}


def check(t, loss, outputs, dtype="float64", rows=None):
    return data.check_rows(np.ones((rows or len(t), 2)), t, None, (2, outputs), np.dtype(dtype), loss)


def test_every_kind_of_target_is_tested():
    assert {loss.targets for loss in losses.registry.values()} == set(GOOD) == set(BAD)


def test_good_targets_are_kept_as_the_formulas_take_them(loss, dtype):
    for t, outputs, expected in GOOD[loss.targets]:
        rows = check(t, loss, outputs, dtype)
        expected = np.reshape(t, (len(t), -1)) if expected is None else np.array(expected)
        assert rows.T.dtype == dtype
        assert rows.T.shape == expected.shape
        assert rows.T.flags.c_contiguous
        np.testing.assert_array_equal(rows.T, expected.astype(dtype))
        assert rows.vector_target == (outputs == 1 and np.ndim(t) == 1)
        assert rows.signed_labels == (loss.targets in ("binary", "labels") and np.min(t) < 0)


def test_bad_targets_are_refused(loss, dtype):
    for t, outputs, message in BAD[loss.targets]:
        with pytest.raises(ValueError, match=message.replace("'log_loss'", repr(loss.name))):
            check(t, loss, outputs, dtype, rows=3)


def test_no_loss_takes_what_is_no_number(loss):
    for t in (
        ["a", "b", "c"],
        [None, 1, 2],
        [1j, 0, 0],
        pd.Series(["x", "y", "z"]),
        np.array([0, 1, 0], "datetime64[s]"),
    ):
        with pytest.raises(TypeError, match="t must hold real numbers, not values of dtype"):
            check(t, loss, 2 if loss.coupled else 1)
    with pytest.raises(TypeError, match=r"t has dtype .*; allowed are integers, booleans and floats"):
        check(np.ones(3, np.longdouble), loss, 2 if loss.coupled else 1)


def test_a_refusal_changes_nothing_and_trainer_evaluate_and_gradient_agree(loss):
    for t, outputs, message in BAD[loss.targets]:
        if loss.coupled and outputs == 1:
            continue  # a trainer refuses that model before it sees a target
        model = fastgd.Linear(2, outputs, seed=0)
        before, trainer = model.params.copy(), fastgd.Trainer(model, loss=loss)
        for call in (
            lambda t=t, trainer=trainer: trainer.run(np.ones((3, 2)), t),
            lambda t=t, model=model: fastgd.evaluate(model, np.ones((3, 2)), t, loss),
            lambda t=t, model=model: fastgd.gradient(model, np.ones((3, 2)), t, loss),
            lambda t=t, trainer=trainer: trainer.step(np.ones((3, 2)), t),
        ):
            with pytest.raises(ValueError, match=message.replace("'log_loss'", repr(loss.name))):
                call()
        assert model.params.tobytes() == before.tobytes()
        assert trainer.updates == 0


def test_targets_that_a_float32_cannot_hold():
    with pytest.raises(ValueError, match=r"t has 1e\+300 in row 1; targets must be finite in float32"):
        check([0, 1e300, 1], losses.MSE(), 1, "float32")
    with pytest.raises(ValueError, match="t has 1e-300 in row 1; loss 'gamma' takes numbers above 0 in float32"):
        check([1, 1e-300, 1], losses.Gamma(), 1, "float32")
    check([1, 1e-300, 1], losses.Gamma(), 1, "float64")


def test_probabilities_may_be_rounded_but_no_more_than_that():
    rng = np.random.default_rng(0)
    softmax = np.exp(rng.normal(size=(3, 50)) * 3)
    softmax /= softmax.sum(axis=1, keepdims=True)
    for dtype in ("float64", "float32"):
        check(softmax, losses.CrossEntropy(), 50, dtype)
        check(softmax.astype("float32"), losses.CrossEntropy(), 50, dtype)
    check(softmax * (1 + 5e-5), losses.CrossEntropy(), 50, "float32")
    with pytest.raises(ValueError, match=r"t sums to 1.00005 in row 0"):
        check(softmax * (1 + 5e-5), losses.CrossEntropy(), 50, "float64")


def test_more_classes_than_a_float32_can_count_are_refused():
    loss, many = losses.CrossEntropy(), 2**24
    rows = check([0, many - 1, many - 2], loss, many, "float32")
    assert rows.T.astype(int).ravel().tolist() == [0, many - 1, many - 2]
    with pytest.raises(ValueError, match="the model has 16777217 classes; allowed in float32 are 16777216"):
        check([0, 1, many], loss, many + 1, "float32")
    assert check([0, 1, many], loss, many + 1, "float64").T[2, 0] == many


def test_targets_of_any_memory_layout(loss, dtype):
    for t, outputs, _ in GOOD[loss.targets]:
        expected = check(t, loss, outputs, dtype).T
        array = np.array(t)
        number = np.float64 if array.dtype == bool else array.dtype
        big_endian = array.astype(number).astype(np.dtype(number).newbyteorder(">"))
        for form in (array.tolist(), np.asfortranarray(array), np.repeat(array, 2, axis=0)[::2], big_endian,
                     array[::-1].copy()[::-1], pd.DataFrame(array)):  # fmt: skip
            np.testing.assert_array_equal(check(form, loss, outputs, dtype).T, expected)


def test_targets_in_place_are_not_copied_and_never_changed(loss, dtype):
    for t, outputs, expected in GOOD[loss.targets]:
        given_t = np.array(t, dtype)
        before = given_t.tobytes()
        T = check(given_t, loss, outputs, dtype).T
        assert given_t.tobytes() == before
        if expected is None:
            assert np.shares_memory(T, given_t)


@settings(max_examples=200, deadline=None)
@given(t=st.lists(st.integers(-2, 6), min_size=1, max_size=8), outputs=st.integers(2, 6))
def test_indices_are_kept_if_all_are_classes_and_else_the_first_that_is_none_is_named(t, outputs):
    wrong = [row for row, index in enumerate(t) if index not in range(outputs)]
    for form in (np.array(t), np.array(t, float), np.array(t, "int8")[:, None]):
        if not wrong:
            assert check(form, losses.CrossEntropy(), outputs).T.ravel().tolist() == t
            continue
        with pytest.raises(ValueError, match=rf"t has {t[wrong[0]]}(\.0)? in row {wrong[0]}; "):
            check(form, losses.CrossEntropy(), outputs)


def test_predictions_of_classes_keep_their_axis():
    X = np.random.default_rng(0).normal(size=(20, 2))
    model = fastgd.Linear(2, 3, seed=0)
    fastgd.train(model, X, (X[:, 0] > 0).astype(int), loss="cross_entropy")
    assert model.predict(X).shape == (20, 3)
    model = fastgd.Linear(2, 1, seed=0)
    fastgd.train(model, X, X[:, 0])
    assert model.predict(X).shape == (20,)
    fastgd.train(model, X, X[:, :1])
    assert model.predict(X).shape == (20, 1)


def test_a_loss_of_ones_own_takes_real_targets():
    class Cubic:
        def value(self, y, t):
            return (np.abs(y - t) ** 3).sum(axis=-1)

        def slope(self, y, t):
            return 3 * (y - t) * np.abs(y - t)

    loss = losses.get(Cubic())
    np.testing.assert_array_equal(check([1.5, -2.5, 0.0], loss, 1).T.ravel(), [1.5, -2.5, 0.0])
    with pytest.raises(ValueError, match="t has nan in row 1; targets must be finite in float64"):
        check([1, np.nan, 3], loss, 1)
