# ------------------------------------------------------------------------------------------------------ sparse rows
# The pass over sparse rows that is asked for most: one output, plain SGD with or without a decay, a row at a
# time. It is visit_rows without what other choices need. What lies too far to be waited for is asked for ahead: a row,
# and where the weights are more than a cache holds, those that a row meets.

cdef enum:
    ROWS_AHEAD = 8          # how far ahead rows in order are asked for,
    WEIGHTS_AHEAD = 2       # and in any order the weights that they meet,
    MOST_AHEAD = 2048       # so many of a row at most, which more would push out before they are read


cdef struct Simple:         # steps without rules and not passive-aggressive: a tag, for the compiler alone
    char nothing


cdef struct Ruled:          # all others
    char nothing


ctypedef fused StepKind:
    Simple
    Ruled


cdef inline bint one_by_one(const Run* run) noexcept nogil:
    # whether visit_sparse can visit the rows
    return (run.lazy.kind == SCALED and run.rows.indices != NULL and one_unit(run) and run.mean < 0
            and run.method.clip_norm == 0 and run.loss.code != CROSS_ENTROPY)


cdef Py_ssize_t visit_columns(Run* run, StepKind steps, floating* w, const floating* X, const index_t* indices,
                              const index_t* indptr, const floating* T, const floating* weights, const int64_t* order,
                              Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # y = w·x + b, then w ← keep · w + a x and b ← keep_bias · b + κ (a − λ ν) with a = −λ · weight · slope; in simple
    # steps κ = 1 and ν = 0. What simple steps change from row to row has names of its own: in a struct it would be
    # written to memory, since `w` could point there
    cdef bint simple = StepKind is Simple
    cdef const Method* method = &run.method
    cdef const Rules* rules = &run.rules
    cdef Made made = nothing_made(run)
    cdef Columns at
    cdef Py_ssize_t reached = stop, place, row, later, begin, n, d = run.net.sizes[0]
    cdef bint asked = unforeseen(run, order, 1), far = d * <Py_ssize_t>sizeof(floating) > NEAR_BYTES
    cdef bint aggressive = not simple and passive_aggressive(method)
    cdef int64_t updates = made.updates
    cdef double scale = made.scale, of_loss = run.loss.scale, losses = 0, seen = 0
    cdef double weight = 1, value, rate, keep, keep_bias, step
    cdef floating one = run.net.bias, b = w[d] if run.net.bias else 0, y, slope, change
    for place in range(start, stop):
        row = order[place] if order != NULL else place
        if asked:
            ask_for_later(run, X, T, weights, order, place, stop)
        elif order == NULL and place + ROWS_AHEAD < stop:
            ask_for_numbers(run, X, place + ROWS_AHEAD)
        if weights != NULL:
            weight = weights[row]
            if weight == 0 and (simple or not rules.visit_zero_weight):
                continue
        begin, n = indptr[row], indptr[row + 1] - indptr[row]
        if far and place + WEIGHTS_AHEAD < stop:
            later = order[place + WEIGHTS_AHEAD] if order != NULL else place + WEIGHTS_AHEAD
            y = gathered_dot(w, X + begin, indices + begin, n, indices + indptr[later],
                             min(indptr[later + 1] - indptr[later], MOST_AHEAD))
        else:
            y = gathered_dot(w, X + begin, indices + begin, n, indices, 0)
        y = <floating>scale * y + b
        value = <double>loss_of_output(&run.loss, y, T[row * run.stride], &slope)
        if not isfinite(of_loss * value):
            reached = place
            break
        losses += weight * value
        seen += weight
        if not simple:
            made.unweighted += value
            made.norms += made.squared_norm
            made.biases += <double>b
            if rules.pass_over_zeros and method.schedule == PA1 and dot(X + begin, X + begin, n, 0) == <floating>0:
                continue
            slope = limited(slope, <floating>rules.slope_limit)
        updates += 1
        rate = rate_of(method, updates, run.first)
        step = rate * weight * of_loss
        if aggressive:
            at.n, step = n, weight
            be_aggressive(run, X + begin, &at, &y, T + row * run.stride, &slope)
        keep, keep_bias = kept(method, rate, method.decay), kept(method, rate, method.bias_decay)
        if not simple and rules.squares != NULL:
            made.squared_norm = (keep * keep * made.squared_norm
                                 + norm_gained(keep, -step * <double>slope, y - b, square_of(run, row)))
        scale *= keep
        if too_small(scale):
            run.lazy.scale, scale = scale, 1
            fold(run, w, <floating*>NULL)
        change = <floating>(-step / scale) * slope
        if not nothing_to_add(change, n):
            scatter_scaled(w, change, X + begin, indices + begin, n)
        if simple:
            b = <floating>keep_bias * b - one * (<floating>step * slope)
        else:
            b = (<floating>keep_bias * b
                 - one * <floating>(rules.intercept_decay * (step * <double>slope + rate * rules.bias_pull)))
    if run.net.bias:
        w[d] = b
    made.updates, made.scale, made.loss, made.weight = updates, scale, losses, seen
    end_blocks(run, &made)
    return reached


cdef Py_ssize_t visit_sparse(Run* run, floating* w, const floating* X, const floating* T, const floating* weights,
                             const int64_t* order, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # returns the place that it reached; a row whose loss is not finite is left to visit_rows, which names it
    cdef Simple simple = [0]
    cdef Ruled ruled = [0]
    cdef const int32_t* narrow = <const int32_t*>run.rows.indices
    cdef const int64_t* wide = <const int64_t*>run.rows.indices
    cdef const int32_t* narrow_pointers = <const int32_t*>run.rows.indptr
    cdef const int64_t* wide_pointers = <const int64_t*>run.rows.indptr
    if run.rules.given or passive_aggressive(&run.method):
        if run.rows.wide:
            return visit_columns(run, ruled, w, X, wide, wide_pointers, T, weights, order, start, stop)
        return visit_columns(run, ruled, w, X, narrow, narrow_pointers, T, weights, order, start, stop)
    if run.rows.wide:
        return visit_columns(run, simple, w, X, wide, wide_pointers, T, weights, order, start, stop)
    return visit_columns(run, simple, w, X, narrow, narrow_pointers, T, weights, order, start, stop)
