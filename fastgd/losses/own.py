"""Losses of the user's own: an object of Python's, or a function of C's. Neither can be saved in a file."""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.losses.base import USE_LABEL, Array, Loss, floats
from fastgd.registry import choice

TARGETS = ("real", "binary", "labels", "non-negative", "positive")  # and "classes", where outputs may be coupled

SIGNATURE = "double f(double y, double t, double *slope_out)"
_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double, ctypes.POINTER(ctypes.c_double))
_POINTER: Any = _FUNCTION.__base__  # the class of all ctypes functions
_NEEDS_THE_GIL = 4  # FUNCFLAG_PYTHONAPI among the flags of a ctypes function


class _OfTheUser(Loss):
    # what follows from the targets alone
    def mean(self, y: Array) -> Array:
        """Return the raw prediction, where targets are real numbers; refuse elsewhere: the link is not known."""
        if self.targets != "real":
            raise ValueError(f"loss {self!r} has no link that is known: its raw predictions are no means; {USE_LABEL}")
        return y

    def label(self, y: Array) -> Array:
        """Return 1 where the score is above 0, else 0; of classes the index of the largest score, (..., 1)."""
        return y.argmax(axis=-1, keepdims=True) if self.targets == "classes" else super().label(y)


@choice
class Own(_OfTheUser):
    """A loss of your own in Python, any object with the methods ``value(y, t)`` and ``slope(y, t)``.

    It runs in Python, a row at a time, on the NumPy reference of the compiled loop: for speed take a
    :class:`CFunction`. Wherever a loss is taken the object itself may be given; it is wrapped, with its attribute
    ``targets`` if it has one. It cannot be saved: give it again when a trainer is loaded.

    Parameters
    ----------
    loss : object
        ``loss.value(y, t)`` returns the loss of each row, of shape (...), and ``loss.slope(y, t)`` its derivatives
        ∂loss/∂y_k, of shape (..., K), for arrays y of shape (..., K) and t of shape (..., K), or (..., 1) where targets
        are indices of classes.
    targets : str, default "real"
        What targets may be: "real", "binary", "labels", "non-negative", "positive" or "classes": see
        ``Loss.targets``. Where they are −1 and +1 the methods are given 0 and 1.

    Raises
    ------
    TypeError
        The object has no such methods; or, when it is called, they return another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import losses
    >>> class LogCosh:
    ...     def value(self, y, t):
    ...         return np.log(np.cosh(y - t)).sum(axis=-1)
    ...     def slope(self, y, t):
    ...         return np.tanh(y - t)
    >>> loss = losses.get(LogCosh())
    >>> loss.slope([0.5, 1.0], [0.5, 0.0]).round(3)
    array([0.   , 0.762])
    """

    loss: Any
    targets: str = "real"
    name: ClassVar[str] = "own"
    coupled: ClassVar[bool] = True  # for all that is known of it
    compiled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_targets(self.targets, (*TARGETS, "classes"))
        if not self.fits(self.loss):
            raise TypeError(f"loss={self.loss!r} must be an object with methods value(y, t) and slope(y, t)")

    @staticmethod
    def fits(loss: Any) -> bool:
        """Tell whether it is an object (and no class) with the two methods."""
        return not isinstance(loss, type) and all(callable(getattr(loss, name, None)) for name in ("value", "slope"))

    def value(self, y: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Return the object's loss of each row."""
        y = floats(y)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._shaped("value", self.loss.value(y, np.asarray(t)), y.shape[:-1]) + (0 * y).sum(axis=-1)

    def slope(self, y: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Return the object's derivatives ∂loss/∂y_k."""
        y = floats(y)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._shaped("slope", self.loss.slope(y, np.asarray(t)), y.shape).astype(y.dtype)

    def _shaped(self, method: str, returned: Any, shape: tuple[int, ...]) -> Array:
        array = np.asarray(returned, np.float64)
        if array.shape != shape:
            raise TypeError(f"{method} of loss {self.loss!r} returned an array of shape {array.shape}, not {shape}")
        return array


@choice
class CFunction(_OfTheUser):
    """A loss of your own in C, ``double f(double y, double t, double *slope_out)``, one output at a time.

    It returns the loss C(y, t) of one output, and writes ∂C/∂y; a loss is summed over the outputs. It runs in the
    compiled loop, without the GIL (a ctypes callback takes the GIL each time), and must be safe to call there. It
    cannot be saved: give it again when a trainer is loaded.

    Parameters
    ----------
    function : Numba cfunc, scipy.LowLevelCallable, ctypes function or int
        The function, which is kept alive as long as the loss. Its signature is checked but where an address is given.
    targets : str, default "real"
        What targets may be: "real", "binary", "labels", "non-negative" or "positive": see ``Loss.targets``. Where they
        are −1 and +1 the function is given 0 and 1.

    Raises
    ------
    TypeError
        It is none of these, or takes or returns something else.

    Examples
    --------
    >>> import ctypes
    >>> from fastgd import losses
    >>> double = ctypes.c_double
    >>> @ctypes.CFUNCTYPE(double, double, double, ctypes.POINTER(double))
    ... def half_square(y, t, slope_out):
    ...     slope_out[0] = y - t
    ...     return (y - t) ** 2 / 2
    >>> loss = losses.CFunction(half_square)
    >>> float(loss.value([1.0, 3.0], [0.0, 1.0])), loss.slope([1.0, 3.0], [0.0, 1.0])
    (2.5, array([1., 2.]))

    In Numba, at the speed of fastgd's own losses::

        @numba.cfunc("double(double, double, CPointer(double))")
        def half_square(y, t, slope_out):
            slope_out[0] = y - t
            return (y - t) ** 2 / 2
    """

    function: Any
    targets: str = "real"
    name: ClassVar[str] = "c_function"

    def __post_init__(self) -> None:
        _check_targets(self.targets, TARGETS)
        _address_of(self.function)

    @property
    def address(self) -> int:
        """Where the function is in memory."""
        return _address_of(self.function)

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return self._called(y, t)[0]

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        return self._called(y, t)[1]

    def _called(self, y: Array, t: Array) -> tuple[Array, Array]:
        function, slope = _FUNCTION(self.address), ctypes.c_double()
        y, t = np.broadcast_arrays(y, t)
        values, slopes = np.empty(y.shape), np.empty(y.shape)
        for at in np.ndindex(y.shape):
            slope.value = 0
            values[at] = function(y[at], t[at], ctypes.byref(slope))
            slopes[at] = slope.value
        return values, slopes


def _check_targets(targets: Any, allowed: tuple[str, ...]) -> None:
    if targets not in allowed:
        raise ValueError(f"targets={targets!r} is not known; allowed are {', '.join(map(repr, allowed))}")


def _address_of(function: Any) -> int:
    # scipy and Numba are not imported: what they give is told by its class, and by its attributes
    given = f"function={function!r}"
    if isinstance(function, (int, np.integer)) and not isinstance(function, (bool, np.bool_)):
        if function <= 0:
            raise ValueError(f"{given} must be an address, above 0")
        return int(function)
    if type(function).__name__ == "LowLevelCallable" and isinstance(function, tuple):
        return _address_in_capsule(function, given)
    pointer = function.ctypes if hasattr(function, "address") and hasattr(function, "ctypes") else function
    if not isinstance(pointer, _POINTER):
        allowed = "a Numba cfunc, a scipy.LowLevelCallable, a ctypes function or an address"
        raise TypeError(f"{given} must be a function {SIGNATURE}, given as {allowed}")
    takes = tuple(pointer.argtypes or ())
    if pointer.restype is not ctypes.c_double or takes[:2] != (ctypes.c_double,) * 2 or not _points(takes[2:]):
        names = ", ".join(getattr(kind, "__name__", str(kind)) for kind in takes)
        returns = getattr(pointer.restype, "__name__", str(pointer.restype))
        raise TypeError(f"{given} takes ({names}) and returns {returns}; allowed is {SIGNATURE}")
    if pointer._flags_ & _NEEDS_THE_GIL:
        raise TypeError(f"{given} needs the GIL, which the compiled loop does not hold; allowed is ctypes.CFUNCTYPE")
    address = ctypes.cast(pointer, ctypes.c_void_p).value
    if not address:
        raise ValueError(f"{given} is a null pointer")
    return address


def _points(kinds: tuple[Any, ...]) -> bool:
    # whether the last argument alone is left, a pointer to doubles
    return len(kinds) == 1 and (kinds[0] is ctypes.c_void_p or getattr(kinds[0], "_type_", None) is ctypes.c_double)


def _address_in_capsule(function: Any, given: str) -> int:
    signature = function.signature
    if signature.replace(" ", "") not in ("double(double,double,double*)", "double(double,double,void*)"):
        raise TypeError(f"{given} has the signature {signature!r}; allowed is {SIGNATURE}")
    if function.user_data is not None:
        raise TypeError(f"{given} has user_data, which the compiled loop would not pass on")
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address: int = pointer(tuple.__getitem__(function, 0), signature.encode())
    return address
