# ----------------------------------------------------------------------------------------------------------- blocks

cdef enum:
    ROWS = 2 * BLOCK            # at once in networks whose weights leave the first level of cache, else BLOCK
    ROW_PAIRS = ROWS * (ROWS - 1) // 2
    BLOCK_BYTES = 512           # a row's size up to which blocks pay
    UNITS_BYTES = 16384         # and where many units share a row
    FAR_BLOCK_BYTES = 16384     # of a row in blocks where rows come from afar in an unforeseen order
    PAGE_BYTES = 4096           # rows of whole pages compete for the same few places in the first level of cache
    AHEAD_BYTES = 2048          # up to which this block and the next fit into the first level of cache together
    APART_FROM_BYTES = 1024     # from which and up to which rows in order from memory are multiplied and added in two
    APART_BYTES = 6144          # passes: the hardware foresees them less well beside a sweep's two other streams
    ASKED_BYTES = 16384         # of rows from afar, near as AHEAD_BYTES says, that are asked for further ahead,
    MOST_ASKED = 24             # at most so many
    STREAM_BYTES = 256          # a row's size from which blocks in order, each of several streams, are not foreseen by
    FAR_BYTES = 1 << 24         # the hardware where X lies in memory; twice this size, beyond the second level of cache


cdef struct Block:
    Py_ssize_t[ROWS] row
    Py_ssize_t[ROWS] behind         # the place behind each row in the order
    double[ROWS] weight


cdef struct Steps:          # of a block, where there is more to a step than w ← w − λ g. The weights are scale · v
    double[BLOCK] rate
    double[BLOCK] keep
    double[BLOCK] size      # a row moves w by size · slope · x,
    double[BLOCK] factor    # and v by factor · slope · x
    double[BLOCK] square    # ‖x‖²
    double[BLOCK] before    # the scale before each step
    double[BLOCK] after
    double[BLOCK] summed    # before each step, Σ scale of the iterates in the mean
    int64_t averaged        # what the steps so far have made of these
    double squared_norm
    double unweighted       # and the sums of what was there before each
    double squared_norms
    double biases


cdef bint from_afar(const Run* run, bint ordered) noexcept nogil:
    # whether waiting for the rows of a block would take longer than their steps. In order they are swept instead
    cdef Py_ssize_t size = run.rows.d * run.itemsize
    if ordered or size >= 2 * STREAM_BYTES:
        return size * run.rows.n > NEAR_BYTES
    return size >= STREAM_BYTES and size * run.rows.n > FAR_BYTES


cdef struct Reading:        # how rows come, and so how a block of them is read
    bint far                # from_afar
    bint near               # this block and the next fit into the first level of cache together
    bint far_ahead          # if they do not, rows from afar are asked for a block ahead, into the second level
    bint apart              # one by one in two passes, to be multiplied and to be added
    bint in_one_pass        # several, beside those that are still to be added
    Py_ssize_t asked        # rows that are asked for further ahead


cdef inline Reading reading(const Run* run, bint ordered) noexcept nogil:
    cdef Py_ssize_t size = run.rows.d * run.itemsize
    cdef Reading how
    how.far, how.near = from_afar(run, ordered), size <= AHEAD_BYTES
    how.far_ahead = how.far and not how.near
    how.in_one_pass = how.far_ahead and size % PAGE_BYTES != 0
    # rows from memory, see above; and the first level of cache may hold the weights and one row, but not two
    how.apart = not ordered and (APART_FROM_BYTES <= size <= APART_BYTES if size * run.rows.n > FAR_BYTES
                                 else 2 * size <= NEAREST_BYTES < 3 * size)
    how.asked = min(MOST_ASKED, 1 + ASKED_BYTES // size) if how.far and how.near and ordered else 0
    return how


cdef inline bint in_blocks(const Run* run) noexcept nogil:
    # whether rows can be taken several at a time: dense rows, plain SGD
    return run.linear and run.rows.indices == NULL and run.trace == NULL


cdef inline bint one_unit(const Run* run) noexcept nogil:
    return run.net.layers == 1 and run.net.sizes[1] == 1 and not outputs_apart(&run.method)


cdef inline Py_ssize_t rows_at_once(const Run* run, bint ordered) noexcept nogil:
    # of one output: BLOCK, or 1 where they are swept; 0 if visit_rows takes them
    cdef Py_ssize_t longest
    if not (in_blocks(run) and one_unit(run)):
        return 0
    if not from_afar(run, ordered):
        longest = BLOCK_BYTES
    else:
        longest = FAR_BLOCK_BYTES if ordered else 0
    return BLOCK if run.rows.d * run.itemsize <= longest else 1


cdef inline bint begin_steps(const Run* run, const floating** x, const Block* block, Py_ssize_t size,
                             Steps* steps) noexcept nogil:
    # what a block's steps don't hang on one another for. False if one is visit_rows' own: the scale would be folded, or
    # a row of zeros is passed over
    cdef double scale = run.lazy.scale, summed = run.lazy.summed
    cdef bint passive = passive_aggressive(&run.method), measured = passive or run.method.clip_norm > 0
    cdef int64_t update = run.counters[UPDATES] + 1
    cdef Py_ssize_t k
    rates_of(&run.method, update, run.first, size, steps.rate)
    for k in range(size):
        steps.keep[k] = kept(&run.method, steps.rate[k], run.method.decay)
        steps.before[k] = scale
        scale *= steps.keep[k]
        steps.after[k] = scale
    for k in range(size):
        steps.size[k] = -block.weight[k] * (1 if passive else steps.rate[k] * run.loss.scale)
        steps.factor[k] = steps.size[k] / steps.after[k]
    if run.rules.squares != NULL:
        for k in range(size):
            steps.square[k] = run.rules.squares[block.row[k]]
    if measured:
        for k in range(size):
            steps.square[k] = dot(x[k], x[k], run.rows.d, 0)
            if steps.square[k] == 0 and run.rules.pass_over_zeros:
                return False
    if run.mean >= 0:
        for k in range(size):
            steps.summed[k] = summed
            summed += steps.after[k] if update + k >= run.method.average else 0
    steps.averaged, steps.squared_norm = run.counters[AVERAGED], run.rules.squared_norm
    steps.unweighted = steps.squared_norms = steps.biases = 0
    return scale * (1 << FOLD_BELOW_MINUS_LOG2) >= 1


cdef inline double step_in_block(const Run* run, Py_ssize_t k, const Block* block, const floating* T,
                                 const floating* g, floating one, Py_ssize_t rows, bint simple, Steps* steps,
                                 floating* m, floating* b, floating* mean, floating* a) noexcept nogil:
    # the k-th step of a block of so many rows: from the raw prediction m_k come a_k = −λ · weight_k · slope_k / scale
    # and m_i, i > k, b and its mean as the step leaves them; of simple steps b is left. What does not wait for the
    # slope is worked out apart from it; `one` is 0 if there is no bias. Returns weight · loss
    cdef floating y = m[k], slope, moved, factor, moved_bias = b[0]
    cdef double value = run.loss.scale * (<double>loss_of_output(&run.loss, y, T[block.row[k]], &slope) + 0 * <double>y)
    cdef double size, weight = block.weight[k], shorten
    cdef Py_ssize_t i
    if simple:
        size = -rate_of(&run.method, run.counters[UPDATES] + 1 + k, run.first)
        factor = <floating>(size * run.loss.scale * weight)
        a[k] = factor * slope
        for i in range(k + 1, rows):
            m[i] += slope * (factor * (g[i * (i - 1) // 2 + k] + one))
        return weight * value
    slope, size, factor = limited(slope, run.rules.slope_limit), steps.size[k], <floating>steps.factor[k]
    if passive_aggressive(&run.method):
        slope = aggressive(&run.method, value, slope, steps.square[k])
    elif run.method.clip_norm > 0:
        shorten = clipping(run, fabs(weight * run.loss.scale * <double>slope) * sqrt(steps.square[k] + run.net.bias))
        size, factor = size * shorten, <floating>(steps.factor[k] * shorten)
    a[k], moved = factor * slope, <floating>size * slope
    if run.rules.objective:
        steps.unweighted += value
        steps.squared_norms += steps.squared_norm
        steps.biases += <double>b[0]
        steps.squared_norm = norm_after(steps.squared_norm, steps.keep[k], moved, y - b[0], steps.square[k])
    if run.bias_apart:
        move_bias(run, steps.rate[k], moved, b)
        moved_bias, one = b[0] - moved_bias, 0
        for i in range(k + 1, rows):
            m[i] += moved_bias
    else:
        b[0] += one * moved
    for i in range(k + 1, rows):
        m[i] += slope * (<floating>steps.before[i] * (factor * g[i * (i - 1) // 2 + k]) + one * <floating>size)
    if run.mean >= 0 and run.counters[UPDATES] + 1 + k >= run.method.average:
        steps.averaged += 1
        add_to_mean(mean, b, <double>steps.averaged, 1)
    return weight * value


cdef inline void ask_for_target(const Run* run, const floating* T, const floating* weights,
                                Py_ssize_t row) noexcept nogil:
    PREFETCH_FAR(T + row)
    if weights != NULL:
        PREFETCH_FAR(weights + row)
    if run.rules.squares != NULL:
        PREFETCH_FAR(run.rules.squares + row)


cdef void ask_for_rows(const Run* run, const floating* X, const floating* T, const floating* weights,
                       const int64_t* order, Py_ssize_t place, Py_ssize_t stop) noexcept nogil:
    # into the second level of cache: more can be on their way there than into the first
    cdef Py_ssize_t at, size = run.rows.d * run.itemsize
    KEEP_CALLS()
    for place in range(place, stop):
        at = 0
        while at < size:
            PREFETCH_FAR(<const char*>(X + order[place] * run.rows.d) + at)
            at += LINE_BYTES
        PREFETCH_FAR(X + (order[place] + 1) * run.rows.d - 1)       # it may end in one more line
        ask_for_target(run, T, weights, order[place])


cdef inline bint next_rows(const Run* run, Block* block, Py_ssize_t size, const floating* weights,
                           const int64_t* order, Py_ssize_t place, Py_ssize_t stop) noexcept nogil:
    # the next rows that are to be visited; False if there are fewer than `size` of them
    cdef Py_ssize_t count = 0, row
    if place + size > stop:
        return False
    if weights == NULL:
        for count in range(size):
            block.row[count] = order[place + count] if order != NULL else place + count
            block.behind[count], block.weight[count] = place + count + 1, 1
        return True
    while count < size and place < stop:
        row = order[place] if order != NULL else place
        place += 1
        block.row[count], block.behind[count], block.weight[count] = row, place, weights[row]
        count += block.weight[count] != 0 or run.rules.visit_zero_weight
    return count == size


cdef inline void add_to_weights(floating* w, const floating* a, const floating** x, Py_ssize_t size,
                                Py_ssize_t d) noexcept nogil:
    # w ← w + Σ_i a_i x_i
    if size == 1:
        add_scaled(w, a[0], x[0], d)
    else:
        add_block(w, <floating>1, a, x, d, NULL)


cdef inline void move_then_multiply(Reading how, floating* w, const floating* a, const floating** before,
                                    const floating** here, const floating** behind, Py_ssize_t size, Py_ssize_t d,
                                    floating start, floating* m, floating* g) noexcept nogil:
    # w ← w + Σ_i a_i x_i over the rows of the block before, then m_i and g_ik of those that are here
    if size == 1 and not how.apart and a[0] != <floating>0:
        m[0] = row_sweep(w, a[0], before[0], here[0], behind[0] if how.far_ahead else NULL, d, start)
    elif size == 1:
        if a[0] != <floating>0:
            add_scaled(w, a[0], before[0], d)
        m[0] = dot(w, here[0], d, start)
    elif how.in_one_pass:
        move_and_sum(w, a, before, here, d, start, m, g, behind)
    else:
        add_block(w, <floating>1, a, before, d, here if how.far_ahead else NULL)
        block_sums(w, here, d, start, m, g, behind if how.far else NULL, how.near)


cdef inline void end_steps(Run* run, const Steps* steps, floating* sum_of_iterates, const floating* a,
                           const floating** x, Py_ssize_t size, floating mean) noexcept nogil:
    # what a block's steps have made of the scale, the mean and the objective
    cdef Py_ssize_t k
    cdef floating summed[BLOCK]
    run.lazy.scale = steps.after[size - 1]
    if run.mean >= 0 and steps.averaged > run.counters[AVERAGED]:
        run.lazy.summed = steps.summed[size - 1] + steps.after[size - 1]
        for k in range(size):
            summed[k] = a[k] * <floating>steps.summed[k]
        add_to_weights(sum_of_iterates, summed, x, size, run.rows.d)
        if run.net.bias:
            sum_of_iterates[run.rows.d] = mean
        run.counters[AVERAGED] = steps.averaged
    if run.rules.objective:
        run.rules.squared_norm = steps.squared_norm
        run.totals[UNWEIGHTED] += steps.unweighted
        run.totals[PENALTY] += price(run, steps.squared_norms, steps.biases) if priced(run) else 0


cdef inline Py_ssize_t visit_blocks(Run* run, floating* w, floating* state, const floating* X, const floating* T,
                                    const floating* weights, const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                                    Py_ssize_t size, bint simple) noexcept nogil:
    # `size` steps at once, 1 or BLOCK, and the same steps: with a_i = −λ_i · weight_i · slope_i, for k = 0, 1, …
    #     y_k = w·x_k + b + Σ_{i<k} a_i (x_i·x_k + 1),   and at the end   w ← w + Σ_i a_i x_i,   b ← b + Σ_i a_i.
    # Where the steps shrink the weights w = scale · v, it is the scale that shrinks, and a_i is divided by it. The
    # weights are moved when the next block is there: one row and the next are swept over at once, so that the weights
    # are read once for both.
    # Returns the place that it reached. Fewer rows, a block with anything that is not finite, and one that begin_steps
    # does not take are left to visit_rows, which names the row.
    cdef Py_ssize_t k, reached = start, d = run.rows.d, last = size - 1
    cdef const floating* places[3 * BLOCK]
    cdef const floating** x = places                    # the rows of the block before, of this and of the one behind
    cdef const floating** here = places + BLOCK
    cdef const floating** behind = places + 2 * BLOCK
    cdef floating m[BLOCK]
    cdef floating a[BLOCK]
    cdef floating g[PAIRS]
    cdef floating one = run.net.bias, b = w[d] if run.net.bias else 0, mean = 0
    cdef floating* sum_of_iterates = state + run.mean * run.net.size
    cdef double loss_sum, weight_sum
    cdef Steps steps
    cdef Block[2] blocks
    cdef Block* block = &blocks[0]
    cdef Block* coming = &blocks[1]
    cdef Reading how = reading(run, order != NULL)
    cdef bint more
    memset(&steps, 0, sizeof(steps))
    more = next_rows(run, block, size, weights, order, start, stop)
    for k in range(size):                               # as if after a block that moved nothing
        x[k], a[k], m[k] = w, 0, 0
        here[k] = X + block.row[k] * d if more else w
    while more:
        if not simple and not begin_steps(run, here, block, size, &steps):
            break
        more = next_rows(run, coming, size, weights, order, block.behind[last], stop)
        for k in range(size):
            behind[k] = X + coming.row[k] * d if more else here[k]
            if more and how.far_ahead:
                ask_for_target(run, T, weights, coming.row[k])
        if how.asked > 0:
            ask_for_rows(run, X, T, weights, order, min(reached + how.asked, stop),
                         min(block.behind[last] + how.asked, stop))
        move_then_multiply(how, w, a, x, here, behind, size, d, b if simple else 0, m, g)
        if not simple:
            for k in range(size):
                m[k] = <floating>steps.before[k] * m[k] + b
            if run.mean >= 0 and run.net.bias:
                mean = sum_of_iterates[d]
        loss_sum, weight_sum = step_in_block(run, 0, block, T, g, one, size, simple, &steps, m, &b, &mean, a), 0
        if size == BLOCK:
            loss_sum += step_in_block(run, 1, block, T, g, one, size, simple, &steps, m, &b, &mean, a)
            loss_sum += step_in_block(run, 2, block, T, g, one, size, simple, &steps, m, &b, &mean, a)
            loss_sum += step_in_block(run, 3, block, T, g, one, size, simple, &steps, m, &b, &mean, a)
        if not isfinite(loss_sum):
            return reached
        for k in range(size):
            weight_sum += block.weight[k]
            if simple:
                b += one * a[k]
        if run.net.bias:
            w[d] = b
        if not simple:
            end_steps(run, &steps, sum_of_iterates, a, here, size, mean)
        run.totals[LOSS] += loss_sum
        run.totals[WEIGHT] += weight_sum
        run.counters[UPDATES] += size
        reached = block.behind[last]
        if size == BLOCK:
            x, here, behind, block, coming = here, behind, x, coming, block
        else:                                           # so that what there is of a row stays in registers
            x[0], here[0] = here[0], behind[0]
            block.row[0], block.behind[0], block.weight[0] = coming.row[0], coming.behind[0], coming.weight[0]
    if reached > start:
        add_to_weights(w, a, x, size, d)
    return reached


cdef Py_ssize_t visit_at_once(Run* run, floating* w, floating* state, const floating* X, const floating* T,
                              const floating* weights, const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                              Py_ssize_t size) noexcept nogil:
    # visit_blocks, in the forms that are compiled of it
    cdef bint simple = run.simple and run.method.clip_norm == 0
    if size == 1 and simple:
        return visit_blocks(run, w, state, X, T, weights, order, start, stop, 1, True)
    elif size == 1:
        return visit_blocks(run, w, state, X, T, weights, order, start, stop, 1, False)
    elif simple:
        return visit_blocks(run, w, state, X, T, weights, order, start, stop, BLOCK, True)
    else:
        return visit_blocks(run, w, state, X, T, weights, order, start, stop, BLOCK, False)
