"""Passes over rows: numbers in, numbers out.

A linear model of K outputs for d features is one flat vector of parameters, W row by row and then, if it has one,
the bias: (K·d + K,). Its twin in NumPy is ``fastgd.reference``, pass by pass and name by name.

Chapters: ``_lanes.h`` (dot product and scaled sum), ``_rows.pxi`` (the linear map), ``_losses.pxi``, ``_training.pxi``
(the per-sample loop). Here: the passes that Python calls, and the step on one sample.
"""

from cython cimport floating
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from threading import get_ident

include "_rows.pxi"
include "_losses.pxi"
include "_training.pxi"


# ----------------------------------------------------------------------------------------------------------- passes

def train_pass(
    floating[::1] params not None,              # (P,) changed in place
    floating[::1] gradient not None,            # (P,) sum over the open batch
    floating[::1] work not None,                # (2P + 2K,) scratch
    int64_t[::1] counters not None,             # (4,) epoch, position, updates, rows in the open batch
    double[::1] totals not None,                # (4,) loss and weight of the epoch, loss and weight of the open batch
    const floating[:, ::1] X not None,          # (n, d)
    const floating[:, ::1] T not None,          # (n, K)
    const floating[::1] weights,                # (n,) or None for ones
    const int64_t[::1] order,                   # (≥ stop,) rows in the order of their visits, or None for 0, 1, 2, …
    Py_ssize_t start,
    Py_ssize_t stop,
    tuple loss not None,                        # code, parameter, scale
    tuple optimizer not None,                   # learning rate
    Py_ssize_t batch_size,
    bint close,                                 # make the update of a batch that is open at the end
    double[:, ::1] trace_out,                   # (updates, 2) or None
    floating[:, ::1] path_out,                  # (updates, P) or None
):
    """Visit the rows ``order[start:stop]``; return −1, or the place of a row that is not finite, all undone."""
    cdef Shape shape = shape_of(params.shape[0], X.shape[1], T.shape[1])
    cdef const floating* weights_or_null = NULL
    cdef const int64_t* order_or_null = NULL
    cdef floating* path_or_null = NULL
    cdef Run run
    cdef Py_ssize_t bad
    if weights is not None:
        weights_or_null = &weights[0]
    if order is not None:
        order_or_null = &order[0]
    if path_out is not None:
        path_or_null = &path_out[0, 0]
    run.loss.code, run.loss.parameter, run.loss.scale = loss
    (run.lr,) = optimizer
    run.batch_size, run.counters, run.totals = batch_size, &counters[0], &totals[0]
    run.trace = NULL if trace_out is None else &trace_out[0, 0]
    with nogil:
        bad = train_rows(&run, shape, &params[0], &gradient[0], &work[0], &X[0, 0], &T[0, 0],
                         weights_or_null, order_or_null, start, stop, close, path_or_null)
        if bad < 0:
            counters[1] += stop - start
    return bad


def predict_pass(const floating[::1] params not None, const floating[:, ::1] X not None,
                 floating[:, ::1] y_out not None):
    """Write the raw predictions for the rows of X (n, d) into ``y_out`` (n, K)."""
    cdef Shape shape = shape_of(params.shape[0], X.shape[1], y_out.shape[1])
    cdef Py_ssize_t i
    with nogil:
        for i in range(X.shape[0]):
            forward(&params[0], &X[i, 0], shape, &y_out[i, 0])


def loss_pass(const floating[::1] params not None, floating[::1] work not None, const floating[:, ::1] X not None,
              const floating[:, ::1] T not None, const floating[::1] weights, tuple loss not None):
    """Return Σ weight · loss, Σ weight and −1, or instead of −1 the row whose loss is not finite, where it stopped."""
    cdef Shape shape = shape_of(params.shape[0], X.shape[1], T.shape[1])
    cdef floating* y = &work[0]
    cdef double weight = 1, value, total = 0, total_weight = 0
    cdef Py_ssize_t i, bad = -1
    cdef Loss choice
    choice.code, choice.parameter, choice.scale = loss
    with nogil:
        for i in range(X.shape[0]):
            if weights is not None:
                weight = weights[i]
                if weight == 0:
                    continue
            forward(&params[0], &X[i, 0], shape, y)
            value = loss_of_row(choice, y, &T[i, 0], shape.K, y + shape.K)
            if not isfinite(value):
                bad = i
                break
            total += weight * value
            total_weight += weight
    return total, total_weight, bad


# ------------------------------------------------------------------------------------------------------- one sample

cdef class Hold:
    """A model's claim by one call at a time. A ``with`` on it cannot be left half done by Ctrl-C, because both its ends
    are in C."""

    cdef readonly object holder      # the thread that has it, or None

    def __enter__(self):
        if self.holder is not None:
            raise RuntimeError("this model is being trained by another thread, or by a call that is not finished")
        self.holder = get_ident()

    def __exit__(self, *exception):
        self.holder = None


cdef class OneSample:
    """Updates on one sample at a time: holds the exported buffers of all that a step needs, so that they cannot move.

    A call takes what is plainly right and answers None to anything else, with nothing changed; the door then says
    what is wrong with it, or converts it. It keeps the interpreter's lock from its look at ``hold`` to its end, so that
    no other thread comes between.
    """

    cdef tuple held
    cdef void* params
    cdef void* gradient
    cdef void* work
    cdef Run run
    cdef Shape shape
    cdef bint double_precision
    cdef double lowest, highest
    cdef object dtype
    cdef Hold hold

    def __init__(self, params, gradient, work, int64_t[::1] counters, double[::1] totals, Py_ssize_t d, Py_ssize_t K,
                 tuple loss, tuple optimizer, double lowest, double highest, Hold hold):
        self.held = tuple(memoryview(array) for array in (params, gradient, work, counters, totals))
        self.double_precision = self.held[0].itemsize == 8
        self.params, self.gradient, self.work = address(params), address(gradient), address(work)
        self.run.counters, self.run.totals = &counters[0], &totals[0]
        self.run.loss.code, self.run.loss.parameter, self.run.loss.scale = loss
        (self.run.lr,) = optimizer
        self.run.batch_size, self.run.trace = 1, NULL
        self.shape = shape_of(params.size, d, K)
        self.lowest, self.highest = lowest, highest
        self.dtype, self.hold = params.dtype, hold

    def step(self, x, t):
        """Make one update for the sample x (d,) and target t (K,), or a number; return the loss before it, or None."""
        if self.double_precision:
            return one_step[double](self, x, t, 0)
        return one_step[float](self, x, t, 0)


cdef void* address(array) except NULL:
    cdef unsigned char[::1] octets = memoryview(array).cast("B")
    return &octets[0]


cdef object one_step(OneSample self, x_given, t_given, floating kind):
    cdef const floating[::1] x, t
    cdef const floating* target
    cdef floating t_single
    cdef Py_ssize_t k
    cdef double loss_before = self.run.totals[LOSS], weight_before = self.run.totals[WEIGHT], value
    cdef bint number = self.shape.K == 1 and isinstance(t_given, (float, int))
    if getattr(x_given, "dtype", None) is not self.dtype:
        return None
    if not number and getattr(t_given, "dtype", None) is not self.dtype:
        return None
    try:
        x = x_given
        if number:
            t_single = t_given
            target = &t_single
        else:
            t = t_given
            if t.shape[0] != self.shape.K:
                return None
            target = &t[0]
    except (BufferError, OverflowError, TypeError, ValueError):
        return None
    if x.shape[0] != self.shape.d:
        return None
    for k in range(self.shape.K):
        if not self.lowest <= <double>target[k] <= self.highest:
            return None
    if self.hold.holder is not None:
        return None
    self.run.totals[LOSS] = self.run.totals[WEIGHT] = 0
    if train_rows(&self.run, self.shape, <floating*>self.params, <floating*>self.gradient, <floating*>self.work,
                  &x[0], target, <const floating*>NULL, NULL, 0, 1, False, <floating*>NULL) >= 0:
        self.run.totals[LOSS], self.run.totals[WEIGHT] = loss_before, weight_before
        return None
    value = self.run.totals[LOSS]
    self.run.totals[LOSS], self.run.totals[WEIGHT] = loss_before, weight_before
    return value
