"""scikit-learn's callbacks, those of ``set_callbacks``: told of a fit, of its classes and of each epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Listeners:
    """The tasks of a fit that have begun and not ended, the innermost last, and who is told of them.

    A fit has a task for each epoch; where classes are learned one against all others, it has one for each class, and
    they have the epochs. Each is told with the rows, and with an estimator as if the fit had ended there.

    Parameters
    ----------
    estimator : estimator
        Which has the callbacks.
    X, y, sample_weight : arrays
        What it is fitted to.
    reached : callable
        Returns the attributes that it would have now.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any, reached: Callable[[], Any]) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._estimator, self._tasks = estimator, list[Any]()
        self._told = {"X": X, "y": y, "metadata": metadata, "reconstruction_attributes": reached}

    def begin(self, name: str, subtasks: int = 0) -> None:
        """Tell that a task begins, within the one that began last."""
        if self._tasks:
            task = self._tasks[-1].subcontext(task_name=name, max_subtasks=subtasks)
        else:
            task = self._estimator._init_callback_context(task_name=name, max_subtasks=subtasks)
        self._tasks.append(task)
        task.call_on_fit_task_begin(estimator=self._estimator, **self._told)

    def end(self) -> bool:
        """Tell that the task has ended that began last; return whether the one around it shall end too."""
        return bool(self._tasks.pop().call_on_fit_task_end(estimator=self._estimator, **self._told))


def listeners(estimator: Any, *fitted: Any) -> Listeners | None:
    """Return who is told, or None where nobody is."""
    known = vars(estimator)
    return Listeners(estimator, *fitted) if "_skl_callbacks" in known or "_parent_callback_ctx" in known else None
