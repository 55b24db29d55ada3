# --------------------------------------------------------------------------------------------------------- training

cdef enum:              # places in `counters` (those of the epoch and its position are the trainer's)
    UPDATES = 2         # updates made so far
    OPEN = 3            # rows in the batch that is open

cdef enum:              # places in `totals`
    LOSS = 0            # Σ weight · loss before each update, in this epoch
    WEIGHT = 1          # Σ weight, in this epoch
    BATCH_LOSS = 2      # the same two over the batch that is open
    BATCH_WEIGHT = 3


cdef struct Run:
    Loss loss
    double lr
    Py_ssize_t batch_size
    int64_t* counters
    double* totals
    double* trace       # (updates, 2): loss and norm of the gradient, or NULL
    int64_t first       # the update that the trace's first row is of


cdef inline void record(Run* run, const floating* params, Py_ssize_t size, double loss, double squared_norm,
                        floating* path_out) noexcept nogil:
    # one row of the trace: loss and norm of the gradient, and the parameters, all before the update
    cdef int64_t row = run.counters[UPDATES] - run.first
    run.trace[2 * row] = loss
    run.trace[2 * row + 1] = sqrt(squared_norm)
    memcpy(path_out + row * size, params, size * sizeof(floating))


cdef void close_batch(Run* run, floating* params, floating* gradient, Py_ssize_t size,
                      floating* path_out) noexcept nogil:
    # w ← w − λ · (Σ_i weight_i ∇_i) / n over the n rows of the batch
    cdef double n = run.counters[OPEN]
    if run.trace != NULL:
        record(run, params, size, run.totals[BATCH_LOSS] / run.totals[BATCH_WEIGHT],
               <double>dot(gradient, gradient, size, 0) / (n * n), path_out)
    add_scaled(params, <floating>(-run.lr / n), gradient, size)
    memset(gradient, 0, size * sizeof(floating))
    run.counters[UPDATES] += 1
    run.counters[OPEN] = 0
    run.totals[BATCH_LOSS] = run.totals[BATCH_WEIGHT] = 0


cdef inline Py_ssize_t visit_rows(Run* run, Shape shape, floating* params, floating* gradient, floating* y,
                                  floating* slope, const floating* X, const floating* T, const floating* weights,
                                  const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                                  floating* path_out) noexcept nogil:
    # one pass; returns `stop`, or the place in the order of the first row whose loss is not finite
    cdef Py_ssize_t i, row, size = shape.K * shape.d + (shape.K if shape.bias else 0)
    cdef bint alone = run.batch_size == 1
    cdef floating* target = params if alone else gradient
    cdef double factor = (-run.lr if alone else 1) * run.loss.scale
    cdef double weight = 1, value, norm
    cdef const floating* x
    for i in range(start, stop):
        row = order[i] if order != NULL else i
        if weights != NULL:
            weight = weights[row]
            if weight == 0:
                continue
        x = X + row * shape.d
        forward(params, x, shape, y)
        value = loss_of_row(run.loss, y, T + row * shape.K, shape.K, slope)
        if not isfinite(value):
            return i
        run.totals[LOSS] += weight * value
        run.totals[WEIGHT] += weight
        if alone and run.trace != NULL:
            norm = <double>(dot(slope, slope, shape.K, 0) * dot(x, x, shape.d, shape.bias))
            record(run, params, size, value, norm * (weight * run.loss.scale) ** 2, path_out)
        backward(target, x, <floating>(weight * factor), slope, shape)
        if alone:
            run.counters[UPDATES] += 1
        else:
            run.totals[BATCH_LOSS] += weight * value
            run.totals[BATCH_WEIGHT] += weight
            run.counters[OPEN] += 1
            if run.counters[OPEN] == run.batch_size:
                close_batch(run, params, gradient, size, path_out)
    return stop


cdef Py_ssize_t train_rows(Run* run, Shape shape, floating* params, floating* gradient, floating* work,
                           const floating* X, const floating* T, const floating* weights, const int64_t* order,
                           Py_ssize_t start, Py_ssize_t stop, bint close, floating* path_out) noexcept nogil:
    # a pass that undoes itself: returns −1, or the place of the row that was not finite with all as it was before
    cdef Py_ssize_t size = shape.K * shape.d + (shape.K if shape.bias else 0), reached
    cdef floating* y = work + 2 * size
    cdef floating y_single, slope_single
    cdef int64_t[4] counters
    cdef double[4] totals
    memcpy(work, params, size * sizeof(floating))
    if run.batch_size != 1:
        memcpy(work + size, gradient, size * sizeof(floating))
    memcpy(counters, run.counters, sizeof(counters))
    memcpy(totals, run.totals, sizeof(totals))
    run.first = counters[UPDATES]
    if shape.K == 1:        # a constant that the compiler sees: y and slope stay in registers
        shape.K = 1
        reached = visit_rows(run, shape, params, gradient, &y_single, &slope_single, X, T, weights, order,
                             start, stop, path_out)
    else:
        reached = visit_rows(run, shape, params, gradient, y, y + shape.K, X, T, weights, order,
                             start, stop, path_out)
    if reached == stop and close and run.counters[OPEN] > 0:
        close_batch(run, params, gradient, size, path_out)
    if reached == stop and all_finite(params, size):
        return -1
    memcpy(params, work, size * sizeof(floating))
    if run.batch_size != 1:
        memcpy(gradient, work + size, size * sizeof(floating))
    memcpy(run.counters, counters, sizeof(counters))
    memcpy(run.totals, totals, sizeof(totals))
    return reached if reached < stop else max(start, stop - 1)
