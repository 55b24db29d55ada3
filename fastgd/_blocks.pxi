# ----------------------------------------------------------------------------------------------------------- blocks

cdef enum:
    BLOCK_BYTES = 4096      # a row's size up to which blocks pay
    AHEAD_BYTES = 2048      # and up to which this block and the next fit into the first level of cache together


cdef inline bint in_blocks(const Run* run) noexcept nogil:
    # whether rows can be taken several at a time: dense rows, plain SGD
    return (run.simple and run.rows.indices == NULL and run.trace == NULL and run.method.clip_norm == 0
            and run.net.sizes[0] * run.itemsize <= BLOCK_BYTES)


cdef inline bint one_unit(const Run* run) noexcept nogil:
    return run.net.layers == 1 and run.net.sizes[1] == 1


cdef inline double step_in_block(Run* run, Py_ssize_t k, const floating* t, const double* weight, const floating* g,
                                 bint bias, floating* y, floating* a) noexcept nogil:
    # the k-th step of a block: from y_k a_k = −λ · weight_k · slope_k, and from it y_i ← y_i + a_k (x_k·x_i + 1), i > k
    cdef floating slope
    cdef double value = <double>loss_of_output(&run.loss, y[k], t[k], &slope) + 0 * <double>y[k]
    cdef double rate = rate_of(&run.method, run.counters[UPDATES] + 1 + k, run.first)
    cdef Py_ssize_t i
    a[k] = <floating>(-rate * run.loss.scale * weight[k]) * slope
    for i in range(k + 1, BLOCK):
        y[i] += a[k] * (g[i * (i - 1) // 2 + k] + bias)
    return weight[k] * value * run.loss.scale


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
