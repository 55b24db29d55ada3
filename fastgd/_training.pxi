# --------------------------------------------------------------------------------------------------------- training

cdef enum:
    BLOCK_BYTES = 4096      # a row's size up to which blocks pay
    AHEAD_BYTES = 2048      # and up to which this block and the next fit into the first level of cache together

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
            norm = <double>dot(slope, slope, shape.K, 0) * <double>dot(x, x, shape.d, shape.bias)
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


cdef inline double step_in_block(Run* run, Py_ssize_t k, const floating* t, const double* weight, const floating* g,
                                 bint bias, floating* y, floating* a) noexcept nogil:
    # the k-th step of a block: from y_k a_k = −λ · weight_k · slope_k, and from it y_i ← y_i + a_k (x_k·x_i + 1), i > k
    cdef floating slope
    cdef double value = loss_of_row(run.loss, &y[k], &t[k], 1, &slope)
    cdef Py_ssize_t i
    a[k] = <floating>(-run.lr * run.loss.scale * weight[k]) * slope
    for i in range(k + 1, BLOCK):
        y[i] += a[k] * (g[i * (i - 1) // 2 + k] + bias)
    return weight[k] * value


cdef inline bint gather(const floating* X, const floating* T, const floating* weights, const int64_t* order,
                        Py_ssize_t d, Py_ssize_t* place, Py_ssize_t stop, const floating** x, floating* t,
                        double* weight) noexcept nogil:
    # the next BLOCK rows of non-zero weight; False if there are fewer
    cdef Py_ssize_t count = 0, row
    while count < BLOCK:
        if place[0] >= stop:
            return False
        row = order[place[0]] if order != NULL else place[0]
        weight[count] = weights[row] if weights != NULL else 1
        x[count], t[count] = X + row * d, T[row]
        count += weight[count] != 0
        place[0] += 1
    return True


cdef Py_ssize_t visit_blocks(Run* run, Py_ssize_t d, bint bias, floating* w, const floating* X, const floating* T,
                             const floating* weights, const int64_t* order, Py_ssize_t start,
                             Py_ssize_t stop) noexcept nogil:
    # BLOCK steps at once, and the same steps: with a_i = −λ · weight_i · slope_i, one after the other for k = 0, 1, …
    #     y_k = w·x_k + b + Σ_{i<k} a_i (x_i·x_k + 1),   and at the end   w ← w + Σ_i a_i x_i,   b ← b + Σ_i a_i
    # Returns the place that it reached. Fewer rows, and a block with anything that is not finite, are left to
    # visit_rows, which names the row.
    cdef Py_ssize_t place = start, reached = start, seen
    cdef const floating* x[BLOCK]
    cdef const floating* next[BLOCK]
    cdef floating t[2 * BLOCK]
    cdef double weight[2 * BLOCK]
    cdef floating m[BLOCK]
    cdef floating a[BLOCK]
    cdef floating g[PAIRS]
    cdef double loss_sum
    cdef bint ahead = d * sizeof(floating) <= AHEAD_BYTES
    cdef bint more = gather(X, T, weights, order, d, &place, stop, next, t + BLOCK, weight + BLOCK)
    while more:
        memcpy(x, next, sizeof(x))
        memcpy(t, t + BLOCK, BLOCK * sizeof(floating))
        memcpy(weight, weight + BLOCK, BLOCK * sizeof(double))
        seen = place
        more = gather(X, T, weights, order, d, &place, stop, next, t + BLOCK, weight + BLOCK)
        block_sums(w, x, d, w[d] if bias else 0, m, g, &next[0] if ahead else &x[0])
        loss_sum = step_in_block(run, 0, t, weight, g, bias, m, a)
        loss_sum += step_in_block(run, 1, t, weight, g, bias, m, a)
        loss_sum += step_in_block(run, 2, t, weight, g, bias, m, a)
        loss_sum += step_in_block(run, 3, t, weight, g, bias, m, a)
        if not isfinite(loss_sum):
            return reached
        add_block(w, a, x, d)
        if bias:
            w[d] += (a[0] + a[1]) + (a[2] + a[3])
        run.totals[LOSS] += loss_sum
        run.totals[WEIGHT] += (weight[0] + weight[1]) + (weight[2] + weight[3])
        run.counters[UPDATES] += BLOCK
        reached = seen
    return reached


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
    if shape.K == 1 and run.batch_size == 1 and run.trace == NULL and shape.d * sizeof(floating) <= BLOCK_BYTES:
        start = visit_blocks(run, shape.d, shape.bias, params, X, T, weights, order, start, stop)
    if shape.K == 1:        # a constant that the compiler sees: y and slope stay in registers
        shape.K = 1
        reached = visit_rows(run, shape, params, gradient, &y_single, &slope_single, X, T, weights, order,
                             start, stop, path_out)
    else:
        reached = visit_rows(run, shape, params, gradient, y, y + shape.K, X, T, weights, order,
                             start, stop, path_out)
    if reached == stop and close and run.counters[OPEN] > 0:
        close_batch(run, params, gradient, size, path_out)
    if reached == stop and all_finite(params, size) and (run.batch_size == 1 or all_finite(gradient, size)):
        return -1
    memcpy(params, work, size * sizeof(floating))
    if run.batch_size != 1:
        memcpy(gradient, work + size, size * sizeof(floating))
    memcpy(run.counters, counters, sizeof(counters))
    memcpy(run.totals, totals, sizeof(totals))
    return reached if reached < stop else max(start, stop - 1)
