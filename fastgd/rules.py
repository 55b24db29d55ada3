"""Rules: where another library's per-sample step differs from the core's, each a switch that is off by default."""

from __future__ import annotations

from math import inf
from typing import Any

from fastgd.registry import Choice, check_flag, check_number, choice, field_names

__all__ = ["NO_RULES", "Rules"]


@choice
class Rules(Choice):
    """What scikit-learn's stochastic gradient descent does otherwise than the core, a switch for each.

    They are for linear models and plain SGD, a sample at a time; :class:`fastgd.method.Method` refuses all else.

    Parameters
    ----------
    intercept_decay : float, default 1
        κ ≥ 0: every move of a bias is multiplied by it. 0 keeps the bias; scikit-learn takes 0.01 on CSR rows.
    bias_pull : float, default 0
        ν ≥ 0: the bias also moves by −κ λ ν at each update, as that of a one-class SVM; ν b is part of the objective.
    slope_limit : float, default inf
        Slopes of the loss are clipped to ± this, above 0; scikit-learn takes 1e12.
    visit_zero_weight : bool, default False
        Rows of weight zero are visited: they move nothing by their loss, but decay the weights, enter the mean of
        the iterates and count as updates.
    pass_over_zeros : bool, default False
        With ``pa1``, a row of zeros is no update.
    l1_on_touched : bool, default False
        An L1 penalty is settled at the end of an update, and only for the coordinates that the row stores: all of a
        dense row, the non-zeros of a CSR row. What the others owe stays owed.
    average_before_l1 : bool, default False
        With ``l1_on_touched``, the mean of the iterates takes what L1 cuts off as cut off from the first iterate on,
        which is what scikit-learn's bookkeeping amounts to.
    objective : bool, default False
        Keep the sums of the losses, without weights, and of the penalty before each update.
    price_before_l1 : bool, default False
        With ``objective`` and ``l1_on_touched``, the penalty is that of the weights as they were before L1 last cut
        them, and after an update of slope zero as they were, decayed: scikit-learn's norms on dense rows.

    Raises
    ------
    TypeError, ValueError
        A value of another kind, or outside these limits.

    Examples
    --------
    >>> from fastgd.rules import Rules
    >>> Rules(intercept_decay=0.01) == Rules()
    False
    """

    intercept_decay: float = 1.0
    bias_pull: float = 0.0
    slope_limit: float = inf
    visit_zero_weight: bool = False
    pass_over_zeros: bool = False
    l1_on_touched: bool = False
    average_before_l1: bool = False
    objective: bool = False
    price_before_l1: bool = False

    def __post_init__(self) -> None:
        numbers: dict[str, Any] = {name: getattr(self, name) for name in ("intercept_decay", "bias_pull")}
        for name, value in numbers.items():
            object.__setattr__(self, name, check_number(name, value))
        if self.slope_limit != inf:
            object.__setattr__(self, "slope_limit", check_number("slope_limit", self.slope_limit, open_below=True))
        for name in field_names(Rules)[3:]:
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))
        if self.average_before_l1 and not self.l1_on_touched:
            raise ValueError("average_before_l1=True needs l1_on_touched=True")
        if self.price_before_l1 and not (self.l1_on_touched and self.objective):
            raise ValueError("price_before_l1=True needs l1_on_touched=True and objective=True")


#: the core's own step
NO_RULES = Rules()
