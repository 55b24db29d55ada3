# ----------------------------------------------------------------------------------------------------------- blocks

cdef enum:
    BLOCK_BYTES = 4096      # a row's size up to which blocks pay,
    BLOCK_BYTES_AFAR = 16384    # and where rows come from afar in an order that the hardware cannot foresee
    AHEAD_BYTES = 2048      # and up to which this block and the next fit into the first level of cache together
    ASKED_BYTES = 16384     # of such rows that are asked for further ahead where they come from afar,
    MOST_ASKED = 24         # at most so many
    STREAM_BYTES = 256      # a row's size up to which the hardware foresees those in order
    FAR_BYTES = 1 << 24     # that come from memory, or slowly


cdef struct Decayed:        # what decays, a rule or the objective change along a block, as it is after the steps so far
    double kept             # Π keep
    double squared_norm     # of the weights
    double unweighted, penalty


cdef bint from_afar(const Run* run, bint ordered, Py_ssize_t rows) noexcept nogil:
    # whether waiting for these rows would take longer than their steps
    cdef Py_ssize_t size = run.rows.d * run.itemsize
    return size * rows > NEAR_BYTES if ordered else size > STREAM_BYTES and size * rows > FAR_BYTES


cdef inline bint in_blocks(const Run* run, bint far_and_ordered) noexcept nogil:
    # whether rows can be taken several at a time: dense rows, plain SGD
    return (run.linear and run.rows.indices == NULL and run.trace == NULL and run.method.clip_norm == 0
            and run.net.sizes[0] * run.itemsize <= (BLOCK_BYTES_AFAR if far_and_ordered else BLOCK_BYTES))


cdef inline bint one_unit(const Run* run) noexcept nogil:
    return run.net.layers == 1 and run.net.sizes[1] == 1


cdef inline double step_in_block(Run* run, Py_ssize_t k, const floating* t, const double* weight, const floating* g,
                                 const double* square, const double* rates, bint simple, Decayed* so_far,
                                 floating* m, floating* b, floating* a) noexcept nogil:
    # the k-th step of a block: from m_k = w·x_k a_k = −λ · weight_k · slope_k, and with it m_i, i > k, and b as the
    # step leaves them; of simple steps m has b in it
    cdef floating y = m[k] if simple else m[k] + b[0], slope
    cdef double value = run.loss.scale * (<double>loss_of_output(&run.loss, y, t[k], &slope) + 0 * <double>y)
    cdef double rate, keep
    cdef Py_ssize_t i
    if simple:
        rate = rate_of(&run.method, run.counters[UPDATES] + 1 + k, run.first)
        a[k] = <floating>(-rate * run.loss.scale * weight[k]) * slope
        for i in range(k + 1, BLOCK):
            m[i] += a[k] * (g[i * (i - 1) // 2 + k] + <floating>run.net.bias)
        return weight[k] * value
    rate = rates[k]
    a[k] = <floating>(-rate * run.loss.scale * weight[k]) * limited(slope, run.rules.slope_limit)
    keep = kept(&run.method, rate, run.method.decay)
    so_far.unweighted += value
    so_far.penalty += price(run, so_far.squared_norm, b[0])
    so_far.squared_norm = norm_after(so_far.squared_norm, keep, a[k], m[k], square[k])
    so_far.kept *= keep
    for i in range(k):
        a[i] *= <floating>keep
    for i in range(k + 1, BLOCK):
        m[i] = <floating>keep * m[i] + a[k] * g[i * (i - 1) // 2 + k]
    if run.net.bias and run.rules.bias_by_rules:
        b[0] += rounded(<floating>run.rules.intercept_decay * (a[k] - <floating>(rate * run.rules.bias_pull)))
        KEEP_CALLS()
    elif run.net.bias:
        b[0] += a[k]
    return weight[k] * value


cdef void ask_for_rows(const Run* run, const floating* X, const floating* T, const floating* weights,
                       const int64_t* order, Py_ssize_t place, Py_ssize_t stop) noexcept nogil:
    # into the second level of cache: more can be on their way there than into the first
    cdef Py_ssize_t row, at, size = run.rows.d * run.itemsize
    KEEP_CALLS()
    for place in range(place, stop):
        row = order[place] if order != NULL else place
        at = 0
        while at < size:
            PREFETCH_FAR(<const char*>(X + row * run.rows.d) + at)
            at += LINE_BYTES
        PREFETCH_FAR(X + (row + 1) * run.rows.d - 1)    # it may end in one more line
        if order != NULL:
            PREFETCH_FAR(T + row)
            if weights != NULL:
                PREFETCH_FAR(weights + row)
            if run.rules.squares != NULL:
                PREFETCH_FAR(run.rules.squares + row)


cdef inline bint gather(const Run* run, const floating* X, const floating* T, const floating* weights,
                        const int64_t* order, Py_ssize_t* place, Py_ssize_t stop, const floating** x, floating* t,
                        double* weight, double* square) noexcept nogil:
    # the next BLOCK rows that are to be visited; False if there are fewer
    cdef Py_ssize_t count = 0, row
    while count < BLOCK:
        if place[0] >= stop:
            return False
        row = order[place[0]] if order != NULL else place[0]
        weight[count] = weights[row] if weights != NULL else 1
        square[count] = run.rules.squares[row] if run.rules.squares != NULL else 0
        x[count], t[count] = X + row * run.rows.d, T[row]
        count += weight[count] != 0 or run.rules.visit_zero_weight
        place[0] += 1
    return True


cdef inline Py_ssize_t visit_blocks(Run* run, floating* w, const floating* X, const floating* T,
                                    const floating* weights, const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                                    bint simple) noexcept nogil:
    # BLOCK steps at once, and the same steps: with a_i = −λ_i · weight_i · slope_i, one after another for k = 0, 1, …
    #     y_k = w·x_k + b + Σ_{i<k} a_i (x_i·x_k + 1),   and at the end   w ← w + Σ_i a_i x_i,   b ← b + Σ_i a_i.
    # Where step i also shrinks the weights by keep_i, it shrinks with them every w·x_k to come and every a_j, j < i.
    # Returns the place that it reached. Fewer rows, and a block with anything that is not finite, are left to
    # visit_rows, which names the row.
    cdef Py_ssize_t k, place = start, reached = start, seen = start, d = run.rows.d
    cdef const floating* x[BLOCK]
    cdef const floating* next[BLOCK]
    cdef floating t[2 * BLOCK]
    cdef double weight[2 * BLOCK]
    cdef floating m[BLOCK]
    cdef floating a[BLOCK]
    cdef floating g[PAIRS]
    cdef floating b = 0
    cdef double loss_sum
    cdef Decayed so_far
    cdef double square[2 * BLOCK]
    cdef double rate[BLOCK]
    cdef bint far = from_afar(run, order != NULL, stop - start), ahead = d * sizeof(floating) <= AHEAD_BYTES
    cdef Py_ssize_t asked = min(MOST_ASKED, 1 + ASKED_BYTES // (d * <Py_ssize_t>sizeof(floating)))
    cdef bint more = gather(run, X, T, weights, order, &place, stop, next, t + BLOCK, weight + BLOCK,
                            square + BLOCK)
    while more:
        memcpy(x, next, sizeof(x))
        memcpy(t, t + BLOCK, BLOCK * sizeof(floating))
        memcpy(weight, weight + BLOCK, BLOCK * sizeof(double))
        if not simple:
            memcpy(square, square + BLOCK, BLOCK * sizeof(double))
            for k in range(BLOCK):                  # here, so that no call comes between the steps
                rate[k] = rate_of(&run.method, run.counters[UPDATES] + 1 + k, run.first)
            so_far.kept, so_far.squared_norm = 1, run.rules.squared_norm
            so_far.unweighted = so_far.penalty = 0
        if run.net.bias:
            b = w[d]
        if far and ahead:
            ask_for_rows(run, X, T, weights, order, min(seen + asked, stop), min(place + asked, stop))
        seen = place
        more = gather(run, X, T, weights, order, &place, stop, next, t + BLOCK, weight + BLOCK, square + BLOCK)
        block_sums(w, x, d, b if simple else 0, m, g, &next[0] if far or ahead else &x[0], ahead)
        loss_sum = step_in_block(run, 0, t, weight, g, square, rate, simple, &so_far, m, &b, a)
        loss_sum += step_in_block(run, 1, t, weight, g, square, rate, simple, &so_far, m, &b, a)
        loss_sum += step_in_block(run, 2, t, weight, g, square, rate, simple, &so_far, m, &b, a)
        loss_sum += step_in_block(run, 3, t, weight, g, square, rate, simple, &so_far, m, &b, a)
        if not isfinite(loss_sum):
            return reached
        if simple:
            add_block(w, <floating>1, a, x, d, &next[0] if far and not ahead else NULL)
        else:
            add_block(w, <floating>so_far.kept, a, x, d, &next[0] if far and not ahead else NULL)
        if run.net.bias:
            w[d] = b + ((a[0] + a[1]) + (a[2] + a[3])) if simple else b
        if run.rules.objective:
            run.rules.squared_norm = so_far.squared_norm
            run.totals[UNWEIGHTED] += so_far.unweighted
            run.totals[PENALTY] += so_far.penalty if priced(run) else 0
        run.totals[LOSS] += loss_sum
        run.totals[WEIGHT] += (weight[0] + weight[1]) + (weight[2] + weight[3])
        run.counters[UPDATES] += BLOCK
        reached = seen
    return reached
