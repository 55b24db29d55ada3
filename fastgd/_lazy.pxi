# ---------------------------------------------------------------------------------------------------- lazy weights
# Where the rows are sparse, an update may cost no more than the row's non-zeros and still be that of dense rows, for
# the weights W of the first layer (the others are dense anyway). Within a pass
#   SCALED    the decay of plain SGD is a factor: W = scale · V, of which V is what is stored;
#   OWING     an L1 penalty that a weight owes is taken off before the weight is read (without decay, all of it at once
#             is the same as a part of it after every update);
#   TOUCHED   Adagrad, FTRL and lazy Adam leave a weight without a gradient alone;
#   IDLE      momentum, RMSprop and elastic net at a constant rate have a closed form for it: see _idle.pxi;
#   TRUNCATED an L1 penalty is taken from the coordinates of the row alone: see _rules.pxi.
# All of it is settled at the end of the pass. All else gathers its gradient, and its updates are dense.
# The sum of the iterates of SCALED and TOUCHED is S V − B with S = Σ scale, so that B ← B + S · (change of V) and idle
# weights need nothing; it stands where the mean is kept between passes.

cdef enum:
    FOLD_BELOW_MINUS_LOG2 = 10      # the scale is folded into the weights below 2⁻¹⁰
    FOLDED_TOGETHER = 1024          # weights, few enough to be near when they are looked at again


cdef LazyKind lazy_kind(const Run* run) noexcept nogil:
    cdef const Method* method = &run.method
    cdef bint constant = method.schedule == CONSTANT
    if run.rules.l1_on_touched and run.paid != NULL:
        return TRUNCATED
    if (run.rows.indices == NULL or run.batch_size != 1 or run.trace != NULL or method.clip_value > 0
            or method.decays != NULL):
        return NOT_LAZY
    if method.optimizer == ADAGRAD and method.decay == 0 or method.optimizer == FTRL:
        return TOUCHED
    if method.optimizer == ADAM and <AdamKind>(<int>method.numbers[3]) == LAZY and method.decay == 0:
        return TOUCHED
    if plain(method) and run.paid == NULL:
        return SCALED
    if plain(method) and method.decay == 0 and run.mean < 0:
        return OWING
    if method.optimizer == SGD and constant:
        # the first update has no dampening, which the matrix of all others has
        return NOT_LAZY if run.counters[UPDATES] == 0 and method.numbers[1] * method.decay != 0 else IDLE
    if method.optimizer == RMSPROP and method.decay == 0 and (constant or method.numbers[2] == 0):
        return IDLE
    return NOT_LAZY


cdef void open_lazy(Run* run, floating* params, floating* state) noexcept nogil:
    cdef Py_ssize_t j, n = run.net.sizes[0] * run.net.sizes[1]
    cdef floating* mean = state + run.mean * run.net.size
    cdef floating count = <floating>run.counters[AVERAGED]
    run.lazy.scale = 1
    run.lazy.summed = run.totals[SUMMED] if run.lazy.kind == TRUNCATED and run.rules.average_before_l1 else 0
    if run.lazy.kind == IDLE:
        for j in range(run.net.sizes[0]):
            run.idle.seen[j] = run.counters[UPDATES]
        start_idle(&run.idle, &run.method, run.mean >= 0 and run.counters[UPDATES] + 1 >= run.method.average)
    if run.lazy.kind != NOT_LAZY and run.mean >= 0:
        for j in range(n):
            mean[j] *= count if run.lazy.kind == IDLE else -count
        if run.lazy.summed > 0:
            add_scaled(mean, <floating>run.lazy.summed, params, n)


cdef bint fold(Run* run, floating* params, floating* state) noexcept nogil:
    # scale ← 1 and S ← 0, with W and the sum of the iterates as they are; tells whether W is finite
    cdef Py_ssize_t j, start, stop = 0, n = run.net.sizes[0] * run.net.sizes[1]
    cdef bint finite = True
    cdef floating* b = state + run.mean * run.net.size
    cdef floating scale = <floating>run.lazy.scale, summed = <floating>run.lazy.summed
    if run.mean >= 0:
        for j in range(n):
            b[j] -= summed * params[j]
    while stop < n:
        start, stop = stop, min(stop + FOLDED_TOGETHER, n)
        if run.lazy.scale != 1:
            for j in range(start, stop):
                params[j] *= scale
        finite = all_finite(params + start, stop - start) and finite
    run.lazy.scale, run.lazy.summed = 1, 0
    return finite


cdef inline bint too_small(double scale) noexcept nogil:
    # also where it is not a number
    return not scale * (1 << FOLD_BELOW_MINUS_LOG2) >= 1


cdef inline void decay_scale(Run* run, double keep, floating* params, floating* state) noexcept nogil:
    # W ← keep · W
    run.lazy.scale *= keep
    if too_small(run.lazy.scale):
        fold(run, params, state)


cdef Py_ssize_t close_lazy(Run* run, floating* params, floating* state) noexcept nogil:
    # returns how many of the parameters it has found to be finite, from the first on
    cdef Py_ssize_t j, finite = 0, n = run.net.sizes[0] * run.net.sizes[1]
    cdef floating* mean = state + run.mean * run.net.size
    cdef floating count = <floating>run.counters[AVERAGED]
    if run.lazy.kind == TRUNCATED:
        run.totals[SUMMED] = run.lazy.summed / run.lazy.scale if run.rules.average_before_l1 else 0
    if run.lazy.kind == SCALED or run.lazy.kind == TOUCHED or run.lazy.kind == TRUNCATED:
        finite = n * fold(run, params, state)
    elif run.lazy.kind == OWING:
        truncate(params, run.paid, run.totals[DEBT], n)
    elif run.lazy.kind == IDLE:
        wake_all(run, params, state)
    if run.lazy.kind != NOT_LAZY and run.mean >= 0 and run.counters[AVERAGED] > 0:
        for j in range(n):
            mean[j] /= count if run.lazy.kind == IDLE else -count
    return finite


cdef inline void settle_row(Run* run, floating* params, floating* state, const Columns* at) noexcept nogil:
    # bring the weights of the row's columns to where they are read
    cdef Py_ssize_t k, i, place
    if run.lazy.kind == IDLE:
        if run.mean >= 0 and not run.idle.summing and run.counters[UPDATES] + 1 >= run.method.average:
            wake_all(run, params, state)            # what comes now is averaged
            start_idle(&run.idle, &run.method, True)
        wake_row(run, params, state, at)
    elif run.lazy.kind == OWING:
        for k in range(run.net.sizes[1]):
            for i in range(at.n):
                place = k * run.net.sizes[0] + column_of(at, i)
                truncate(params + place, run.paid + place, run.totals[DEBT], 1)


cdef inline void move_columns(const Method* method, const Now* now, floating* w, floating* state, Py_ssize_t size,
                              floating factor, const floating* x, const index_t* columns, Py_ssize_t n) noexcept nogil:
    cdef floating decay = <floating>method.decay
    if method.optimizer == ADAGRAD:
        move_sparse(now.adagrad, w, state, size, factor, x, columns, <floating>0, n)
    elif method.optimizer == FTRL:
        move_sparse(now.ftrl, w, state, size, factor, x, columns, <floating>0, n)
    elif method.optimizer == RMSPROP:
        move_sparse(now.rmsprop, w, state, size, factor, x, columns, <floating>0, n)
    elif method.optimizer == ADAM:
        move_sparse(now.adam, w, state, size, factor, x, columns, <floating>0, n)
    elif plain(method):
        move_sparse(now.plain, w, state, size, factor, x, columns, <floating>0, n)
    else:
        move_sparse(now.momentum, w, state, size, factor, x, columns, decay, n)


cdef inline void add_columns(floating* b, floating c, const floating* w, const Columns* at) noexcept nogil:
    # b_j ← b_j + c w_j in the row's columns
    cdef Py_ssize_t i, j
    for i in range(at.n):
        j = column_of(at, i)
        b[j] += c * w[j]


cdef inline void move_lazily(Run* run, const Now* now, floating* w, floating* state, floating factor,
                             const floating* x, const Columns* at, const floating* deltas) noexcept nogil:
    cdef Py_ssize_t k, d = run.net.sizes[0]
    cdef floating* row = w
    cdef floating* b = state + run.mean * run.net.size
    cdef floating change
    cdef bint averaged = run.mean >= 0 and run.lazy.summed > 0 and run.lazy.kind != IDLE
    cdef bint by_factor = run.lazy.kind == SCALED or run.lazy.kind == OWING
    if run.lazy.kind == TRUNCATED:
        move_truncated(run, now, w, state, factor, x, at, deltas)
        return
    if run.lazy.kind == SCALED and now.plain.keep != 1:
        decay_scale(run, now.plain.keep, w, state)
    for k in range(run.net.sizes[1]):
        change = factor * deltas[k]
        if by_factor:
            change = <floating>(-now.plain.rate * <double>change / run.lazy.scale)
            add_row(row, change, x, at)
            if averaged:
                add_row(b, <floating>(run.lazy.summed * <double>change), x, at)
        else:
            if averaged:
                add_columns(b, -<floating>run.lazy.summed, row, at)
            if at.narrow != NULL:
                move_columns(&run.method, now, row, state + k * d, run.net.size, change, x, at.narrow, at.n)
            else:
                move_columns(&run.method, now, row, state + k * d, run.net.size, change, x, at.wide, at.n)
            if averaged:
                add_columns(b, <floating>run.lazy.summed, row, at)
        row += d
        b += d
    if run.lazy.kind == IDLE:
        end_awake(run, now, w, state, at)
