"""Passes over rows: numbers in, numbers out.

A model is a network of layers, a linear one of a single layer; its parameters are one flat vector, layer by layer W
row by row and then, if it has one, the bias. The twin of the passes in NumPy is ``fastgd.reference``, name by name.

Chapters: ``_lanes.h``, ``_blocks.h``, ``_gather.h`` (dot products and scaled sums), ``_rows.pxi`` (dense, sparse rows),
``_math.pxi``, ``_losses.pxi``, ``_activations.pxi``, ``_network.pxi`` (forward and backward), ``_optimizers.pxi`` (the
move of a coordinate; schedules), ``_lazy.pxi`` and ``_idle.pxi`` (what sparse rows need not touch), ``_training.pxi``
(the per-sample loop), ``_reading.pxi`` (how rows are read), ``_blocks.pxi`` and ``_unit_blocks.pxi`` (several rows at
once), ``_across_units.pxi`` (narrow samples), ``_few_units.h`` and ``_few_units.pxi`` (small networks),
``_sparse_rows.pxi`` (one output, plain SGD), ``_rules.pxi`` (another library's step), ``_passes.pxi``,
``_one_sample.pxi``. Here: the passes that Python calls.
"""

from cython cimport floating
from libc.math cimport copysign, copysignf, fabs, fabsf, isfinite, sqrt, sqrtf
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


# ------------------------------------------------------------------------------------------------------ what is given

cdef int read_rows(Rows* rows, Py_ssize_t d, indices, indptr) except -1:
    # the buffers must outlive it
    rows.d, rows.indices, rows.indptr = d, NULL, NULL
    if indices is not None:
        rows.indices, rows.indptr = address(indices), address(indptr)
        rows.wide = indices.itemsize == 8
    return 0


cdef int read_loss(Loss* loss, tuple given) except -1:
    # from (code, parameter, scale, address of a C function or 0)
    cdef size_t function = given[3]
    loss.code, loss.parameter, loss.scale = given[:3]
    loss.function = <double (*)(double, double, double*) noexcept nogil>function
    return 0


cdef int read_method(Run* run, tuple given) except -1:
    # from (optimizer, schedule, decay, debt, average, clip_value, clip_norm, slots, rules): see codes.method_numbers
    cdef Method* method = &run.method
    cdef const double[::1] rates, lr_factors, decays
    cdef int i
    method.optimizer, method.lr = given[0][:2]
    method.schedule = given[1][0]
    for i in range(4):
        method.numbers[i] = given[0][2][i]
    for i in range(2):
        method.schedule_numbers[i] = given[1][1][i]
    method.rates = NULL
    if given[1][2] is not None:
        rates = given[1][2]
        method.rates = &rates[0]
    method.lr_factors = method.decays = NULL
    if given[0][3] is not None:
        lr_factors = given[0][3]
        method.lr_factors = &lr_factors[0]
    if given[0][4] is not None:
        decays = given[0][4]
        method.decays = &decays[0]
    method.decay, method.bias_decay, method.clamp = given[2]
    method.debt, method.bias_debt = given[3]
    method.average, method.clip_value, method.clip_norm = given[4:7]
    run.slots = given[7] + (method.average > 0)
    run.mean = given[7] if method.average > 0 else -1
    run.paid = NULL
    read_rules(&run.rules, given[8])
    return 0


# ----------------------------------------------------------------------------------------------------------- passes

def train_pass(
    floating[::1] params not None,              # (P,) changed in place
    floating[::1] state,                        # (slots · P,) of the optimizer, and the mean, or None
    double[::1] paid,                           # (2P,) what was paid of an L1 penalty, and room for a copy, or None
    floating[::1] gradient not None,            # (P,) sum over the open batch
    floating[::1] work not None,                # scratch: see engine.work_size
    int64_t[::1] counters not None,             # (5,) epoch, position, updates, rows in the open batch, averaged
    double[::1] totals not None,                # (9,) loss and weight of the epoch, the same of the open batch, debt, …
    const floating[::1] X not None,             # (n · d,) or, of a CSR matrix, (non-zeros,)
    indices,                                    # (non-zeros,) int32 or int64, or None
    indptr,                                     # (n + 1,) of the same kind, or None
    const floating[:, ::1] T not None,          # (n, K), or (n, 1) class indices
    const floating[::1] weights,                # (n,) or None for ones
    const int64_t[::1] order,                   # (≥ stop,) rows in the order of their visits, or None for 0, 1, 2, …
    Py_ssize_t start,
    Py_ssize_t stop,
    tuple net not None,                         # sizes, activation codes, their parameters, bias
    tuple loss not None,                        # code, parameter, scale, address
    tuple method not None,                      # see codes.method_numbers
    Py_ssize_t batch_size,
    bint close,                                 # make the update of a batch that is open at the end
    double[:, ::1] trace_out,                   # (updates, 2) or None
    floating[:, ::1] path_out,                  # (updates, P) or None
    const double[::1] squares=None,             # (n,) ‖x‖² of the rows, where Rules ask for the objective
):
    """Visit the rows ``order[start:stop]``; return −1, or the place of a row that is not finite, all undone."""
    cdef const floating* x_or_null = NULL       # a CSR matrix may have no non-zeros
    cdef const floating* weights_or_null = NULL
    cdef const int64_t* order_or_null = NULL
    cdef floating* state_or_null = NULL
    cdef floating* path_or_null = NULL
    cdef Run run
    cdef Py_ssize_t bad
    read_net(&run.net, net)
    read_rows(&run.rows, run.net.sizes[0], indices, indptr)
    run.rows.n = T.shape[0]
    read_loss(&run.loss, loss)
    read_method(&run, method)
    if X.shape[0] > 0:
        x_or_null = &X[0]
    if weights is not None:
        weights_or_null = &weights[0]
    if order is not None:
        order_or_null = &order[0]
    if state is not None and state.shape[0] > 0:
        state_or_null = &state[0]
    if path_out is not None:
        path_or_null = &path_out[0, 0]
    run.itemsize, run.columns, run.batch_size = sizeof(floating), T.shape[1], batch_size
    run.counters, run.totals = &counters[0], &totals[0]
    run.trace = NULL if trace_out is None else &trace_out[0, 0]
    if paid is not None:
        run.paid = &paid[0]
    if squares is not None:
        run.rules.squares = &squares[0]
    plan(&run)
    with nogil:
        bad = train_rows(&run, &params[0], state_or_null, &gradient[0], &work[0], x_or_null, &T[0, 0],
                         weights_or_null, order_or_null, start, stop, close, path_or_null)
        if bad < 0:
            counters[1] += stop - start
    return bad


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
