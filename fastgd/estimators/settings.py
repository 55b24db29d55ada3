"""From scikit-learn's parameters to fastgd's choices: a loss, and a method with the rules of scikit-learn's step."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sklearn.utils._param_validation import StrOptions

from fastgd import losses, optimizers, penalties, schedules
from fastgd.losses import Loss
from fastgd.method import Method
from fastgd.optimizers import SGD, Optimizer
from fastgd.penalties import Penalty
from fastgd.registry import check_number
from fastgd.rules import NO_RULES, Rules
from fastgd.schedules import Schedule

#: losses that scikit-learn's estimators have for real targets, as their ``loss_functions`` list them
REGRESSION: dict[str, tuple[Any, ...]] = {
    "squared_error": (losses.SquaredError,),
    "huber": (losses.Huber, 0.1),
    "epsilon_insensitive": (losses.EpsilonInsensitive, 0.1),
    "squared_epsilon_insensitive": (losses.SquaredEpsilonInsensitive, 0.1),
}
#: and for classes
CLASSIFICATION: dict[str, tuple[Any, ...]] = {
    "hinge": (losses.Hinge,),
    "squared_hinge": (losses.SquaredHinge,),
    "perceptron": (losses.Perceptron,),
    "log_loss": (losses.LogLoss,),
    "modified_huber": (losses.ModifiedHuber,),
    **REGRESSION,
}
#: names of losses that scikit-learn's SGDRegressor lacks
MORE_REGRESSION = ("quantile", "poisson", "gamma", "tweedie")

PENALTIES = StrOptions({"l2", "l1", "elasticnet"})
SCHEDULES = StrOptions({"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"})

SLOPE_LIMIT = 1e12
SPARSE_INTERCEPT_DECAY = 0.01


def loss_of(name: str | Loss, epsilon: float) -> Loss:
    """Return the loss of that name, with scikit-learn's epsilon where it takes one, or the loss itself."""
    if not isinstance(name, str) or name not in CLASSIFICATION:
        return losses.get(name)
    made = CLASSIFICATION[name][0]
    if name == "huber":
        # with 0 scikit-learn's is a loss that is always 0, to which this is as near as a δ above 0 comes
        return made(delta=max(float(epsilon), sys.float_info.min))
    return made(epsilon=float(epsilon)) if len(CLASSIFICATION[name]) > 1 else made()


def optimizer_of(given: str | Optimizer | None, eta0: float) -> Optimizer:
    """Return the optimizer: plain SGD where none is given, and ``eta0`` as the rate unless it has one of its own."""
    if given is None:
        return SGD(lr=float(eta0))
    chosen = optimizers.get(given)
    return replace(chosen, lr=float(eta0)) if isinstance(given, str) else chosen  # type: ignore[type-var]


def is_plain(optimizer: Optimizer) -> bool:
    """Tell whether it is scikit-learn's own, SGD without momentum, weight decay and factors."""
    return optimizer.is_plain and not optimizer.weight_decay and not (optimizer.lr_factors or optimizer.decay_factors)


def takes_rules(estimator: Any) -> bool:
    """Tell whether the steps are scikit-learn's; by another optimizer, or by clipped values, they are fastgd's own."""
    given = estimator.optimizer
    return (given is None or is_plain(optimizer_of(given, estimator.eta0))) and estimator.clip_value is None


def check(estimator: Any) -> None:
    """Refuse choices that don't go together, beside those that scikit-learn refuses.

    Raises
    ------
    TypeError, ValueError
        The message names the parameter, its value and what is allowed.
    """
    sgd = estimator.optimizer is None or isinstance(optimizer_of(estimator.optimizer, estimator.eta0), SGD)
    if estimator.learning_rate == "optimal" and not sgd:
        raise ValueError(
            f"learning_rate='optimal' does not go with optimizer={estimator.optimizer!r}: it does not use eta0 and "
            "begins with steps that are right for SGD alone; allowed are 'constant', 'invscaling' and 'adaptive'"
        )
    for name in ("clip_value", "clip_norm"):
        if getattr(estimator, name) is not None:
            check_number(name, getattr(estimator, name), open_below=True)
    decay = estimator.intercept_decay
    if decay != "auto":
        if isinstance(decay, str):
            raise ValueError(f"intercept_decay={decay!r} must be 'auto' or a finite number of at least 0")
        check_number("intercept_decay", decay)
        if not takes_rules(estimator) and decay != 1:
            raise ValueError(
                f"intercept_decay={decay!r} does not go with optimizer={estimator.optimizer!r} and "
                f"clip_value={estimator.clip_value!r}, by which intercepts move as weights do; allowed are 'auto' and 1"
            )
    if isinstance(estimator.callbacks, str) or not hasattr(estimator.callbacks, "__iter__"):
        raise TypeError(f"callbacks={estimator.callbacks!r} must be a sequence of callables")
    for callback in estimator.callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks has {callback!r}, which cannot be called")


def penalty_of(name: str | None, alpha: float, l1_ratio: float | None) -> Penalty | None:
    """Return scikit-learn's penalty of that name."""
    if name == "elasticnet":
        return penalties.ElasticNet(alpha=float(alpha), l1_ratio=float(l1_ratio or 0.0))
    if name is None:
        return None
    return penalties.L1(alpha=float(alpha)) if name == "l1" else penalties.L2(alpha=float(alpha))


def schedule_of(estimator: Any, alpha: float, *, fitting: bool) -> Schedule:
    """Return the schedule; a single epoch has nothing to adapt to."""
    name = estimator.learning_rate
    if name == "optimal":
        return schedules.Optimal(alpha=float(alpha))
    if name == "invscaling":
        power = float(estimator.power_t)
        return schedules.InvScaling(power_t=power) if power >= 0 else schedules.get(lambda t: t**-power)
    if name == "adaptive" and fitting and estimator.tol is not None:
        return schedules.Adaptive(tol=float(estimator.tol), patience=int(estimator.n_iter_no_change))
    return schedules.get("constant" if name == "adaptive" else name)


def method_of(
    estimator: Any, loss: Loss, sizes: Sequence[int], *, average: int, sparse: bool, some_zero: bool, fitting: bool
) -> Method:
    """Return how the estimator's parameters move.

    Parameters
    ----------
    estimator : estimator
        Whose parameters choose.
    loss : Loss
    sizes : sequence of int
        (d, K) of the model.
    average : int
        The update from which iterates are averaged, 0 for never.
    sparse : bool
        Whether rows are CSR.
    some_zero : bool
        Whether there are rows of weight zero.
    fitting : bool
        Whether there may be more epochs than one; then, or to print it, the objective is kept.

    Raises
    ------
    ValueError, TypeError
        Choices that don't go together.
    """
    pull = float(getattr(estimator, "nu", 0.0))
    alpha = pull or float(estimator.alpha)
    penalty = penalty_of(estimator.penalty, alpha, estimator.l1_ratio)
    rules = NO_RULES
    if takes_rules(estimator):
        l1, objective = penalty is not None and penalty.l1 > 0, fitting or estimator.verbose > 0
        rules = Rules(
            intercept_decay=intercept_decay(estimator, sparse),
            bias_pull=pull,
            slope_limit=SLOPE_LIMIT,
            visit_zero_weight=some_zero and not estimator.skip_zero_weight,
            pass_over_zeros=estimator.learning_rate == "pa1",
            l1_on_touched=l1,
            average_before_l1=l1 and average > 0,
            objective=objective,
            price_before_l1=l1 and objective and not sparse,
        )
    return Method.make(
        loss,
        sizes,
        optimizer=optimizer_of(estimator.optimizer, estimator.eta0),
        penalty=penalty,
        schedule=schedule_of(estimator, alpha, fitting=fitting),
        average=average,
        clip_value=estimator.clip_value,
        clip_norm=estimator.clip_norm,
        rules=rules,
    )


def intercept_decay(estimator: Any, sparse: bool) -> float:
    """Return κ, by which every move of an intercept is multiplied; 0 where it is not fitted."""
    if not estimator.fit_intercept:
        return 0.0
    if estimator.intercept_decay == "auto":
        return SPARSE_INTERCEPT_DECAY if sparse else 1.0
    return float(estimator.intercept_decay)
