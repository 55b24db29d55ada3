# ----------------------------------------------------------------------------------------------------------- blocks

cdef enum:
    BLOCK_BYTES = 4096      # a row's size up to which blocks pay,
    BLOCK_BYTES_LONG = 16384    # and where many units share it, or rows come from afar in an unforeseen order
    AHEAD_BYTES = 2048      # and up to which this block and the next fit into the first level of cache together
    ASKED_BYTES = 16384     # of such rows that are asked for further ahead where they come from afar,
    MOST_ASKED = 24         # at most so many
    STREAM_BYTES = 256      # a row's size up to which the hardware foresees those in order
    FAR_BYTES = 1 << 24     # that come from memory, or slowly


cdef struct Steps:          # of a block, where there is more to a step than w ← w − λ g. The weights are scale · v
    double[BLOCK] rate
    double[BLOCK] keep
    double[BLOCK] size      # a row moves w by size · slope · x
    double[BLOCK] square    # ‖x‖²
    double[BLOCK] before    # the scale before each step
    double[BLOCK] after
    double[BLOCK] summed    # before each step, Σ scale of the iterates in the mean
    int64_t averaged        # what the steps so far have made of these
    double squared_norm
    double unweighted
    double penalty


cdef bint from_afar(const Run* run, bint ordered) noexcept nogil:
    # whether waiting for the rows would take longer than their steps
    cdef Py_ssize_t size = run.rows.d * run.itemsize
    return size * run.rows.n > NEAR_BYTES if ordered else size > STREAM_BYTES and size * run.rows.n > FAR_BYTES


cdef inline bint in_blocks(const Run* run, bint long_rows_pay) noexcept nogil:
    # whether rows can be taken several at a time: dense rows, plain SGD
    return (run.linear and run.rows.indices == NULL and run.trace == NULL
            and run.net.sizes[0] * run.itemsize <= (BLOCK_BYTES_LONG if long_rows_pay else BLOCK_BYTES))


cdef inline bint one_unit(const Run* run) noexcept nogil:
    return run.net.layers == 1 and run.net.sizes[1] == 1


cdef inline bint begin_steps(const Run* run, const floating** x, const double* weight, const double* squares,
                             Steps* steps) noexcept nogil:
    # what a block's steps don't hang on one another for. False if one is visit_rows' own: the scale would be folded, or
    # a row of zeros is passed over
    cdef double scale = run.lazy.scale, summed = run.lazy.summed
    cdef bint passive = passive_aggressive(&run.method), measured = passive or run.method.clip_norm > 0
    cdef Py_ssize_t k
    for k in range(BLOCK):
        steps.rate[k] = rate_of(&run.method, run.counters[UPDATES] + 1 + k, run.first)
        steps.keep[k] = kept(&run.method, steps.rate[k], run.method.decay)
        steps.size[k] = -weight[k] * (1 if passive else steps.rate[k] * run.loss.scale)
        steps.square[k] = dot(x[k], x[k], run.rows.d, 0) if measured else squares[k]
        if measured and steps.square[k] == 0 and run.rules.pass_over_zeros:
            return False
        steps.before[k], steps.summed[k] = scale, summed
        scale *= steps.keep[k]
        steps.after[k] = scale
        if run.mean >= 0 and run.counters[UPDATES] + 1 + k >= run.method.average:
            summed += scale
    steps.averaged, steps.squared_norm = run.counters[AVERAGED], run.rules.squared_norm
    steps.unweighted = steps.penalty = 0
    return scale * (1 << FOLD_BELOW_MINUS_LOG2) >= 1


cdef inline double step_in_block(const Run* run, Py_ssize_t k, const floating* t, const double* weight,
                                 const floating* g, bint simple, Steps* steps, floating* m, floating* b, floating* mean,
                                 floating* a) noexcept nogil:
    # the k-th step of a block: from m_k = v·x_k come a_k = −λ · weight_k · slope_k / scale and m_i, i > k, b and its
    # mean as the step leaves them; of simple steps m has b in it. Returns weight · loss
    cdef floating y = m[k] if simple else <floating>steps.before[k] * m[k] + b[0], slope, moved
    cdef double value = run.loss.scale * (<double>loss_of_output(&run.loss, y, t[k], &slope) + 0 * <double>y), size
    cdef Py_ssize_t i
    if simple:
        size = -rate_of(&run.method, run.counters[UPDATES] + 1 + k, run.first)
        a[k] = <floating>(size * run.loss.scale * weight[k]) * slope
        for i in range(k + 1, BLOCK):
            m[i] += a[k] * (g[i * (i - 1) // 2 + k] + <floating>run.net.bias)
        return weight[k] * value
    slope, size = limited(slope, run.rules.slope_limit), steps.size[k]
    if passive_aggressive(&run.method):
        slope = aggressive(&run.method, value, slope, steps.square[k])
    elif run.method.clip_norm > 0:
        size *= clipping(run, fabs(weight[k] * run.loss.scale * <double>slope) * sqrt(steps.square[k] + run.net.bias))
    a[k], moved = <floating>(size / steps.after[k]) * slope, <floating>size * slope
    if run.rules.objective:
        steps.unweighted += value
        steps.penalty += price(run, steps.squared_norm, b[0])
        steps.squared_norm = norm_after(steps.squared_norm, steps.keep[k], moved, steps.before[k] * <double>m[k],
                                        steps.square[k])
    for i in range(k + 1, BLOCK):
        m[i] += a[k] * g[i * (i - 1) // 2 + k]
    if run.net.bias and not run.bias_apart:
        b[0] += moved
    elif run.net.bias:
        move_bias(run, steps.rate[k], moved, b)
    if run.mean >= 0 and run.counters[UPDATES] + 1 + k >= run.method.average:
        steps.averaged += 1
        add_to_mean(mean, b, <double>steps.averaged, 1)
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


cdef inline void end_steps(Run* run, const Steps* steps, floating* sum_of_iterates, floating* a, const floating** x,
                           floating mean) noexcept nogil:
    # what a block's steps have made of the scale, the mean and the objective
    cdef Py_ssize_t k, last = BLOCK - 1
    run.lazy.scale = steps.after[last]
    if run.mean >= 0 and steps.averaged > run.counters[AVERAGED]:
        run.lazy.summed = steps.summed[last] + steps.after[last]
        for k in range(BLOCK):
            a[k] *= <floating>steps.summed[k]
        add_block(sum_of_iterates, <floating>1, a, x, run.rows.d, NULL)
        if run.net.bias:
            sum_of_iterates[run.rows.d] = mean
        run.counters[AVERAGED] = steps.averaged
    if run.rules.objective:
        run.rules.squared_norm = steps.squared_norm
        run.totals[UNWEIGHTED] += steps.unweighted
        run.totals[PENALTY] += steps.penalty if priced(run) else 0


cdef inline Py_ssize_t visit_blocks(Run* run, floating* w, floating* state, const floating* X, const floating* T,
                                    const floating* weights, const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                                    bint simple) noexcept nogil:
    # BLOCK steps at once, and the same steps: with a_i = −λ_i · weight_i · slope_i, one after another for k = 0, 1, …
    #     y_k = w·x_k + b + Σ_{i<k} a_i (x_i·x_k + 1),   and at the end   w ← w + Σ_i a_i x_i,   b ← b + Σ_i a_i.
    # Where the steps shrink the weights w = scale · v, it is the scale that shrinks, and a_i is divided by it.
    # Returns the place that it reached. Fewer rows, a block with anything that is not finite, and one that begin_steps
    # does not take are left to visit_rows, which names the row.
    cdef Py_ssize_t k, place = start, reached = start, seen = start, d = run.rows.d
    cdef const floating* x[BLOCK]
    cdef const floating* next[BLOCK]
    cdef floating t[2 * BLOCK]
    cdef double weight[2 * BLOCK]
    cdef double square[2 * BLOCK]
    cdef floating m[BLOCK]
    cdef floating a[BLOCK]
    cdef floating g[PAIRS]
    cdef floating b = 0, mean = 0
    cdef floating* sum_of_iterates = state + run.mean * run.net.size
    cdef double loss_sum
    cdef Steps steps
    cdef bint far = from_afar(run, order != NULL), ahead = d * sizeof(floating) <= AHEAD_BYTES
    cdef Py_ssize_t asked = min(MOST_ASKED, 1 + ASKED_BYTES // (d * <Py_ssize_t>sizeof(floating)))
    cdef bint more = gather(run, X, T, weights, order, &place, stop, next, t + BLOCK, weight + BLOCK,
                            square + BLOCK)
    while more:
        memcpy(x, next, sizeof(x))
        memcpy(t, t + BLOCK, BLOCK * sizeof(floating))
        memcpy(weight, weight + BLOCK, BLOCK * sizeof(double))
        if not simple and not begin_steps(run, x, weight, square + BLOCK, &steps):
            return reached
        if run.net.bias:
            b = w[d]
            mean = sum_of_iterates[d] if run.mean >= 0 else 0
        if far and ahead:
            ask_for_rows(run, X, T, weights, order, min(seen + asked, stop), min(place + asked, stop))
        seen = place
        more = gather(run, X, T, weights, order, &place, stop, next, t + BLOCK, weight + BLOCK, square + BLOCK)
        block_sums(w, x, d, b if simple else 0, m, g, &next[0] if far or ahead else &x[0], ahead)
        loss_sum = step_in_block(run, 0, t, weight, g, simple, &steps, m, &b, &mean, a)
        loss_sum += step_in_block(run, 1, t, weight, g, simple, &steps, m, &b, &mean, a)
        loss_sum += step_in_block(run, 2, t, weight, g, simple, &steps, m, &b, &mean, a)
        loss_sum += step_in_block(run, 3, t, weight, g, simple, &steps, m, &b, &mean, a)
        if not isfinite(loss_sum):
            return reached
        add_block(w, <floating>1, a, x, d, &next[0] if far and not ahead else NULL)
        if run.net.bias:
            w[d] = b + ((a[0] + a[1]) + (a[2] + a[3])) if simple else b
        if not simple:
            end_steps(run, &steps, sum_of_iterates, a, x, mean)
        run.totals[LOSS] += loss_sum
        run.totals[WEIGHT] += (weight[0] + weight[1]) + (weight[2] + weight[3])
        run.counters[UPDATES] += BLOCK
        reached = seen
    return reached
