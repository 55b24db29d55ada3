"""Penalties: a price on the size of the weights, P(w) = l2/2 ‖w‖² + l1 ‖w‖₁, which training adds to the loss.

It acts on weights, and on biases only where ``include_bias`` says so. The L2 part is a weight decay; the L1 part is
settled by :func:`truncate`, so that weights become exactly zero.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.registry import Choice, check_flag, check_number, choice, find

__all__ = ["L1", "L2", "ElasticNet", "Penalty", "get", "registry", "truncate"]

Array = npt.NDArray[Any]


class Penalty(Choice):
    """What every penalty has: a name, the strengths of its L1 and L2 parts, and a value."""

    name: ClassVar[str]
    alpha: float
    l1_ratio: float
    include_bias: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", check_number("alpha", self.alpha))
        object.__setattr__(self, "include_bias", check_flag("include_bias", self.include_bias))

    @property
    def l1(self) -> float:
        """The price of |w|, alpha · l1_ratio."""
        return self.alpha * self.l1_ratio

    @property
    def l2(self) -> float:
        """The price of w²/2, alpha · (1 − l1_ratio)."""
        return self.alpha * (1 - self.l1_ratio)

    def value(self, weights: npt.ArrayLike) -> float:
        """Return l2/2 Σ w² + l1 Σ |w|, for weights of any shape."""
        w = np.asarray(weights, np.float64)
        return float(self.l2 / 2 * np.sum(w * w) + self.l1 * np.sum(np.abs(w)))


@choice
class L2(Penalty):
    """Ridge: P(w) = α/2 ‖w‖². An update by the rate λ shrinks each weight by the factor 1 − λ α.

    Parameters
    ----------
    alpha : float, default 1e-4
        α ≥ 0, in units of the loss over the weight squared.
    include_bias : bool, default False
        Whether it acts on biases too.

    Examples
    --------
    >>> from fastgd import penalties
    >>> penalties.L2(alpha=0.1).value([3.0, -4.0])
    1.25
    """

    alpha: float = 1e-4
    include_bias: bool = False
    l1_ratio = 0.0
    name: ClassVar[str] = "l2"


@choice
class L1(Penalty):
    """Lasso: P(w) = α ‖w‖₁, with weights that become exactly zero (see :func:`truncate`).

    Parameters
    ----------
    alpha : float, default 1e-4
        α ≥ 0, in units of the loss over the weight.
    include_bias : bool, default False
        Whether it acts on biases too.

    Examples
    --------
    >>> from fastgd import penalties
    >>> penalties.L1(alpha=0.5).value([3.0, -4.0])
    3.5
    """

    alpha: float = 1e-4
    include_bias: bool = False
    l1_ratio = 1.0
    name: ClassVar[str] = "l1"


@choice
class ElasticNet(Penalty):
    """Elastic net: P(w) = α (1 − ρ)/2 ‖w‖² + α ρ ‖w‖₁.

    Parameters
    ----------
    alpha : float, default 1e-4
        α ≥ 0, the strength of both parts.
    l1_ratio : float, default 0.15
        ρ in [0, 1]: 0 is :class:`L2`, 1 is :class:`L1`.
    include_bias : bool, default False
        Whether it acts on biases too.

    References
    ----------
    H. Zou and T. Hastie, Regularization and variable selection via the elastic net, Journal of the Royal Statistical
    Society B 67 (2005), 301-320.

    Examples
    --------
    >>> from fastgd import penalties
    >>> penalties.ElasticNet(alpha=0.5, l1_ratio=0.5).value([3.0, -4.0])
    4.875
    """

    alpha: float = 1e-4
    l1_ratio: float = 0.15
    include_bias: bool = False
    name: ClassVar[str] = "elasticnet"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "l1_ratio", check_number("l1_ratio", self.l1_ratio))
        if self.l1_ratio > 1:
            raise ValueError(f"l1_ratio={self.l1_ratio!r} must be a number in [0, 1]")


def truncate(params: Array, paid: Array, debt: float, on: Array) -> None:
    """Let the weights pay the L1 penalty that they owe, in place, and stop at zero.

    A weight above zero becomes max(0, w − (debt + paid)), one below zero min(0, w + (debt − paid)), and ``paid``
    takes what it moved by. A weight at zero pays nothing and goes on owing, so that steps away from zero that are
    smaller than its debt are taken back. Weights that no update moved in between can pay for many updates at once.

    Parameters
    ----------
    params : array (P,)
        The weights.
    paid : float64 array (P,)
        The sum of what each weight has moved by in payments so far. Sums of many small numbers: in double, whatever
        the dtype of ``params``.
    debt : float
        The sum over all updates so far of rate · l1: what a weight that never stopped would have paid.
    on : bool array (P,), or indices
        The weights that pay now.

    References
    ----------
    Y. Tsuruoka, J. Tsujii and S. Ananiadou, Stochastic gradient descent training for L1-regularized log-linear models
    with cumulative penalty, ACL 2009, figure 2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import penalties
    >>> w, paid = np.array([1.0, 0.25]), np.zeros(2)
    >>> penalties.truncate(w, paid, debt=0.5, on=np.array([True, True]))
    >>> w, paid
    (array([0.5, 0. ]), array([-0.5 , -0.25]))
    """
    w = params[on].astype(np.float64)
    positive, negative = np.maximum(0, w - (debt + paid[on])), np.minimum(0, w + (debt - paid[on]))
    params[on] = np.where(w > 0, positive, np.where(w < 0, negative, w))
    paid[on] += params[on] - w


registry: dict[str, type[Penalty]] = {choice.name: choice for choice in (L2, L1, ElasticNet)}


def get(penalty: str | Penalty | None) -> Penalty | None:
    """Return the penalty of that name with its defaults, or what was given; None is no penalty.

    Examples
    --------
    >>> from fastgd import penalties
    >>> penalties.get("l2")
    L2(alpha=0.0001, include_bias=False)
    """
    return None if penalty is None else find("penalty", registry, penalty, Penalty)
