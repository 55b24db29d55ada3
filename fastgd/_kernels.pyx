"""Passes over rows: numbers in, numbers out.

A model is a network of layers, a linear one of a single layer; its parameters are one flat vector, layer by layer W
row by row and then, if it has one, the bias. The twin of the passes in NumPy is ``fastgd.reference``, name by name.

Chapters: ``_lanes.h``, ``_blocks.h``, ``_short_rows.h``, ``_gather.h`` (dot products and scaled sums), ``_rows.pxi``
(dense, sparse rows), ``_math.pxi``, ``_losses.pxi``, ``_activations.pxi``, ``_network.pxi`` (forward and backward),
``_optimizers.pxi`` (the move of a coordinate; schedules), ``_lazy.pxi`` and ``_idle.pxi`` (what sparse rows need not
touch), ``_training.pxi`` (the per-sample loop), ``_reading.pxi`` (how rows are read), ``_blocks.pxi`` and
``_unit_blocks.pxi`` (several rows at once), ``_across_units.pxi`` (narrow samples), ``_few_units.h`` and
``_few_units.pxi`` (small networks), ``_sparse_rows.pxi`` (one output, plain SGD), ``_rules.pxi`` (another library's
step), ``_passes.pxi``, ``_one_sample.pxi``. Here: the passes that Python calls.
"""

from cython cimport floating
from libc.math cimport NAN, copysign, copysignf, fabs, fabsf, isfinite, sqrt, sqrtf
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

from threading import get_ident

ctypedef fused index_t:
    int32_t
    int64_t

include "_lanes.pxi"
include "_rows.pxi"
include "_math.pxi"
include "_losses.pxi"
include "_activations.pxi"
include "_network.pxi"
include "_optimizers.pxi"
include "_training.pxi"
include "_apart.pxi"
include "_idle.pxi"
include "_lazy.pxi"
include "_reading.pxi"
include "_blocks.pxi"
include "_unit_blocks.pxi"
include "_across_units.pxi"
include "_few_units.pxi"
include "_sparse_rows.pxi"
include "_rules.pxi"
include "_passes.pxi"
include "_one_sample.pxi"


BLOCK_ROWS = ROWS       # that are taken together, at most


# ----------------------------------------------------------------------------------------------------------- passes

def predict_pass(const floating[::1] params not None, floating[::1] work not None, const floating[::1] X not None,
                 indices, indptr, tuple net not None, floating[:, ::1] y_out not None):
    """Write the raw predictions for the rows of X into ``y_out`` (n, K)."""
    cdef const floating* x_or_null = NULL
    cdef Net layers
    cdef Rows rows
    cdef Columns at
    cdef Py_ssize_t i, offset, K = y_out.shape[1]
    read_net(&layers, net)
    read_rows(&rows, layers.sizes[0], indices, indptr)
    if X.shape[0] > 0:
        x_or_null = &X[0]
    with nogil:
        for i in range(y_out.shape[0]):
            offset = row_at(rows, i, &at)
            forward(&layers, &params[0], x_or_null + offset, &at, 1, &work[0])
            memcpy(&y_out[i, 0], &work[layers.units - K], K * sizeof(floating))


def loss_pass(const floating[::1] params not None, floating[::1] work not None, const floating[::1] X not None,
              indices, indptr, const floating[:, ::1] T not None, const floating[::1] weights, tuple net not None,
              tuple loss not None):
    """Return Σ weight · loss, Σ weight and −1, or instead of −1 the row whose loss is not finite, where it stopped."""
    cdef const floating* x_or_null = NULL
    cdef double weight = 1, value, total = 0, total_weight = 0
    cdef Py_ssize_t i, offset, K, bad = -1
    cdef Net layers
    cdef Rows rows
    cdef Columns at
    cdef Loss choice
    read_net(&layers, net)
    read_rows(&rows, layers.sizes[0], indices, indptr)
    read_loss(&choice, loss)
    K = layers.sizes[layers.layers]
    if X.shape[0] > 0:
        x_or_null = &X[0]
    with nogil:
        for i in range(T.shape[0]):
            if weights is not None:
                weight = weights[i]
                if weight == 0:
                    continue
            offset = row_at(rows, i, &at)
            forward(&layers, &params[0], x_or_null + offset, &at, 1, &work[0])
            value = loss_of_row(&choice, &work[layers.units - K], &T[i, 0], T.shape[1], K, &work[layers.units])
            if not isfinite(value):
                bad = i
                break
            total += weight * value
            total_weight += weight
    return total, total_weight, bad


def square_norms(const floating[::1] X not None, indices, indptr, Py_ssize_t d, double[::1] squares_out not None):
    """Write ‖x‖² for each row of X."""
    cdef Rows rows
    cdef Columns at
    cdef Py_ssize_t i, offset
    cdef const floating* x = &X[0] if X.shape[0] else NULL
    read_rows(&rows, d, indices, indptr)
    with nogil:
        for i in range(squares_out.shape[0]):
            offset = row_at(rows, i, &at)
            squares_out[i] = sum_of_squares(x + offset, at.n)


def shuffle(int64_t[::1] order not None, uint32_t seed):
    """Shuffle in place as scikit-learn shuffles rows: Fisher–Yates from the front, by the generator xorshift32.

    G. Marsaglia, Xorshift RNGs, Journal of Statistical Software 8 (2003).
    """
    cdef Py_ssize_t i, j, n = order.shape[0]
    cdef uint32_t drawn = seed if seed else 1
    with nogil:
        for i in range(n - 1):
            drawn ^= drawn << 13
            drawn ^= drawn >> 17
            drawn ^= drawn << 5
            j = i + (drawn & 0x7FFFFFFF) % <uint32_t>(n - i)
            order[i], order[j] = order[j], order[i]
