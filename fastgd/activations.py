"""Activations: what a hidden layer makes of its sums, and the derivative by which slopes pass through it.

Each class is the NumPy twin of the C function of the same name. ``output`` takes a layer's sums z; ``slope`` is the
derivative at z, written in the output a = output(z), so that training needs to keep the outputs alone. Both take and
return arrays of any shape, in the dtype that they are given, and overflow nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.registry import Choice, check_number, choice, find

__all__ = [
    "Activation",
    "Identity",
    "LeakyReLU",
    "Logistic",
    "ReLU",
    "Softplus",
    "Tanh",
    "get",
    "of_layers",
    "registry",
]

Array = npt.NDArray[Any]

SOFTPLUS_THRESHOLD = 20.0  # torch's: log(1 + e^z) is z above it


class Activation(Choice):
    """What every activation has: a name, an output, a slope, and the class in ``torch.nn`` that does the same."""

    name: ClassVar[str]
    torch_module: ClassVar[str]

    @property
    def parameter(self) -> float:
        """The number that the C formula takes, if it takes one."""
        return 0.0

    def output(self, z: Array) -> Array:
        """Return a, the outputs of a layer whose sums are z."""
        raise NotImplementedError

    def slope(self, a: Array) -> Array:
        """Return ∂a/∂z at the z that gave the outputs a."""
        raise NotImplementedError


class ReLU(Activation):
    """Rectified linear unit: a = max(z, 0), slope 1 where z > 0 and 0 elsewhere, at z = 0 included.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import activations
    >>> relu = activations.ReLU()
    >>> a = relu.output(np.array([-2.0, 0.0, 3.0]))
    >>> a, relu.slope(a)
    (array([0., 0., 3.]), array([0., 0., 1.]))
    """

    name: ClassVar[str] = "relu"
    torch_module: ClassVar[str] = "ReLU"

    def output(self, z: Array) -> Array:  # noqa: D102
        return np.maximum(z, 0)

    def slope(self, a: Array) -> Array:  # noqa: D102
        return (a > 0).astype(a.dtype)


@choice
class LeakyReLU(Activation):
    """Leaky rectified linear unit: a = z where z > 0 and s z elsewhere; slope 1 where z > 0 and s elsewhere.

    Parameters
    ----------
    negative_slope : float, default 0.01
        s ≥ 0.

    References
    ----------
    A. L. Maas, A. Y. Hannun and A. Y. Ng, Rectifier nonlinearities improve neural network acoustic models, ICML 2013
    workshop on deep learning for audio, speech and language processing.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import activations
    >>> leaky = activations.LeakyReLU(negative_slope=0.5)
    >>> a = leaky.output(np.array([-2.0, 3.0]))
    >>> a, leaky.slope(a)
    (array([-1.,  3.]), array([0.5, 1. ]))
    """

    negative_slope: float = 0.01
    name: ClassVar[str] = "leaky_relu"
    torch_module: ClassVar[str] = "LeakyReLU"

    def __post_init__(self) -> None:
        object.__setattr__(self, "negative_slope", check_number("negative_slope", self.negative_slope))

    @property
    def parameter(self) -> float:
        """The slope s."""
        return self.negative_slope

    def output(self, z: Array) -> Array:  # noqa: D102
        return np.where(z > 0, z, self.negative_slope * z)

    def slope(self, a: Array) -> Array:  # noqa: D102
        return np.where(a > 0, 1, self.negative_slope).astype(a.dtype)


class Tanh(Activation):
    """Hyperbolic tangent: a = tanh(z), slope 1 − a².

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import activations
    >>> tanh = activations.Tanh()
    >>> a = tanh.output(np.array([0.0, 1000.0]))
    >>> a, tanh.slope(a)
    (array([0., 1.]), array([1., 0.]))
    """

    name: ClassVar[str] = "tanh"
    torch_module: ClassVar[str] = "Tanh"

    def output(self, z: Array) -> Array:  # noqa: D102
        return np.tanh(z)

    def slope(self, a: Array) -> Array:  # noqa: D102
        return 1 - a * a


class Logistic(Activation):
    """Logistic function, torch's ``Sigmoid``: a = 1 / (1 + e^−z), slope a (1 − a).

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import activations
    >>> logistic = activations.Logistic()
    >>> a = logistic.output(np.array([-1000.0, 0.0, 1000.0]))
    >>> a, logistic.slope(a)
    (array([0. , 0.5, 1. ]), array([0.  , 0.25, 0.  ]))
    """

    name: ClassVar[str] = "logistic"
    torch_module: ClassVar[str] = "Sigmoid"

    def output(self, z: Array) -> Array:  # noqa: D102
        e = np.exp(-np.abs(z))
        return np.where(z >= 0, 1, e) / (1 + e)

    def slope(self, a: Array) -> Array:  # noqa: D102
        return a * (1 - a)


class Identity(Activation):
    """No activation: a = z, slope 1. The layers beside it are one linear map.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import activations
    >>> activations.Identity().output(np.array([-2.0, 3.0]))
    array([-2.,  3.])
    """

    name: ClassVar[str] = "identity"
    torch_module: ClassVar[str] = "Identity"

    def output(self, z: Array) -> Array:  # noqa: D102
        return z

    def slope(self, a: Array) -> Array:  # noqa: D102
        return np.ones_like(a)


class Softplus(Activation):
    """Smooth rectifier, as torch's ``Softplus``: a = log(1 + e^z), and z itself above 20; slope 1 − e^−a.

    Where a > 20 the slope is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import activations
    >>> softplus = activations.Softplus()
    >>> a = softplus.output(np.array([-1000.0, 0.0, 1000.0]))
    >>> a, softplus.slope(a)
    (array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03]), array([0. , 0.5, 1. ]))
    """

    name: ClassVar[str] = "softplus"
    torch_module: ClassVar[str] = "Softplus"

    def output(self, z: Array) -> Array:  # noqa: D102
        return np.where(z > SOFTPLUS_THRESHOLD, z, np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))

    def slope(self, a: Array) -> Array:  # noqa: D102
        return np.where(a > SOFTPLUS_THRESHOLD, 1, -np.expm1(-a))


registry: dict[str, type[Activation]] = {
    choice.name: choice for choice in (ReLU, LeakyReLU, Tanh, Logistic, Identity, Softplus)
}


def get(activation: str | Activation) -> Activation:
    """Return the activation of that name with its defaults, or the activation itself.

    Examples
    --------
    >>> from fastgd import activations
    >>> activations.get("leaky_relu")
    LeakyReLU(negative_slope=0.01)
    """
    return find("activation", registry, activation, Activation)


def of_layers(activation: str | Activation | Sequence[str | Activation], layers: int) -> tuple[Activation, ...]:
    """Return the activation of each hidden layer, given one for all or a sequence with one for each.

    Raises
    ------
    ValueError, TypeError
        One of them is no activation, or they are not as many as there are layers.

    Examples
    --------
    >>> from fastgd import activations
    >>> activations.of_layers(["relu", "tanh"], 2)
    (ReLU(), Tanh())
    """
    if isinstance(activation, str) or not isinstance(activation, Sequence):
        return (get(activation),) * layers
    if len(activation) != layers:
        allowed = f"allowed is one for all, or a sequence of {layers}, one for each hidden layer"
        raise ValueError(f"activation={activation!r} has {len(activation)} entries; {allowed}")
    return tuple(get(choice) for choice in activation)
