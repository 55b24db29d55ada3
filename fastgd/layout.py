"""The layout of a network's parameters: one flat vector, layer by layer the weights row by row and then the biases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastgd.arrays import aligned
from fastgd.registry import check_count

Array = npt.NDArray[Any]


class Shape(Protocol):
    """What decides a layout."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers in a sample, in the outputs of each hidden layer, and in a prediction."""

    @property
    def has_bias(self) -> bool:
        """Whether every layer has biases."""


def check_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the sizes as integers, or refuse them unless they are two or more of at least 1."""
    array = isinstance(sizes, np.ndarray) and sizes.ndim > 0
    if isinstance(sizes, (str, bytes)) or not (array or isinstance(sizes, Sequence)):
        raise TypeError(f"sizes={sizes!r} must be a sequence of integers of at least 1, such as [4, 16, 2]")
    checked = tuple(check_count(f"sizes[{place}]", size) for place, size in enumerate(sizes))
    if len(checked) < 2:
        raise ValueError(f"sizes={sizes!r} must have at least two integers, the inputs and the outputs")
    return checked


def empty(net: Shape, dtype: np.dtype[Any]) -> Array:
    """Return a vector for the parameters (P,), zero so far."""
    return aligned(sum(outputs * (inputs + net.has_bias) for inputs, outputs in pairwise(net.sizes)), dtype)


def draw(net: Shape, params: Array, rng: np.random.Generator) -> None:
    """Draw the parameters as torch's nn.Linear does: uniformly between ± 1/√(inputs of the layer)."""
    for layer in layers(net, params):
        bound = 1 / layer[0].shape[1] ** 0.5
        for array in layer:
            array[...] = rng.uniform(-bound, bound, array.shape)


def layers(net: Shape, params: Any) -> Iterator[tuple[Any, Any]]:
    """Yield W (m, n) and b (m,), or (0,) without biases, of each layer as views of the flat vector, NumPy's or torch's.

    Examples
    --------
    >>> import numpy as np, fastgd
    >>> from fastgd import layout
    >>> [(weight.shape, bias.shape) for weight, bias in layout.layers(fastgd.MLP([2, 3, 1]), np.zeros(13))]
    [((3, 2), (3,)), ((1, 3), (1,))]
    """
    place = 0
    for inputs, outputs in pairwise(net.sizes):
        end = place + outputs * inputs
        yield params[place:end].reshape(outputs, inputs), params[end : end + outputs * net.has_bias]
        place = end + outputs * net.has_bias
