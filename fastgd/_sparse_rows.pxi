# ------------------------------------------------------------------------------------------------------ sparse rows
# The pass over sparse rows that is asked for most: one output, plain SGD with or without a decay, a row at a time. It
# is visit_rows without what other choices need. What lies too far to be waited for is asked for ahead: a row, and where
# the weights are more than a cache holds, those that a row meets.

cdef enum:
    ROWS_AHEAD = 4
    WEIGHTS_AHEAD = 2       # rows whose weights are asked for
    MOST_AHEAD = 2048       # numbers of a row, which more of its kind would push out before they are read


cdef inline bint one_by_one(const Run* run) noexcept nogil:
    # whether visit_sparse can visit the rows
    return (run.lazy.kind == SCALED and run.rows.indices != NULL and one_unit(run) and run.mean < 0 and run.loss.code != CROSS_ENTROPY
            and run.method.clip_norm == 0 and not passive_aggressive(&run.method) and not run.rules.given)


cdef inline void ask_for(const void* begin, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = 0
    while at < size:
        PREFETCH(<const char*>begin + at)
        at += LINE_BYTES


cdef Py_ssize_t visit_columns(Run* run, floating* w, const floating* X, const index_t* indices, const index_t* indptr,
                              const floating* T, const floating* weights, const int64_t* order, Py_ssize_t start,
                              Py_ssize_t stop) noexcept nogil:
    cdef const Method* method = &run.method
    cdef Py_ssize_t place, row, later, begin, n, d = run.net.sizes[0]
    cdef bint far = d * <Py_ssize_t>sizeof(floating) > NEAR_BYTES
    cdef double weight = 1, value, rate, keep, keep_bias
    cdef floating y, slope, called, change, e = 0
    for place in range(start, stop):
        row = order[place] if order != NULL else place
        if place + ROWS_AHEAD < stop:
            later = order[place + ROWS_AHEAD] if order != NULL else place + ROWS_AHEAD
            begin, n = indptr[later], min(indptr[later + 1] - indptr[later], MOST_AHEAD)
            ask_for(X + begin, n * sizeof(floating))
            ask_for(indices + begin, n * sizeof(index_t))
        if weights != NULL:
            weight = weights[row]
            if weight == 0:
                continue
        begin, n = indptr[row], indptr[row + 1] - indptr[row]
        y = <floating>run.lazy.scale * gathered_dot(w, X + begin, indices + begin, n)
        if run.net.bias:
            y += w[d]
        if run.loss.code == LOG_LOSS:           # all the row waits for its slope; its value is finite where y is
            slope = log_loss_slope(y, T[row], &e)
            value = y
        else:
            value = loss_of_output(&run.loss, y, T[row], &called) + 0 * <double>y
            slope = called                      # one whose address is given away would be kept in memory
        if not isfinite(run.loss.scale * value):
            return place
        run.totals[WEIGHT] += weight
        run.counters[UPDATES] += 1
        rate = rate_of(method, run.counters[UPDATES], run.first)
        keep, keep_bias = kept(method, rate, method.decay), kept(method, rate, method.bias_decay)
        decay_scale(run, keep, w, <floating*>NULL)
        rate *= weight * run.loss.scale
        change = <floating>(-rate / run.lazy.scale) * slope
        if far and place + WEIGHTS_AHEAD < stop:
            later = order[place + WEIGHTS_AHEAD] if order != NULL else place + WEIGHTS_AHEAD
            scatter_and_ask(w, change, X + begin, indices + begin, n, indices + indptr[later],
                            min(indptr[later + 1] - indptr[later], MOST_AHEAD))
        elif not nothing_to_add(change, n):
            scatter_scaled(w, change, X + begin, indices + begin, n)
        if run.net.bias:
            w[d] = <floating>keep_bias * w[d] - <floating>rate * slope
        if run.loss.code == LOG_LOSS:           # last, so that no row waits for it
            value = log_loss_value(y, T[row], e)
        run.totals[LOSS] += weight * (run.loss.scale * value)
    return stop


cdef Py_ssize_t visit_sparse(Run* run, floating* w, const floating* X, const floating* T, const floating* weights,
                             const int64_t* order, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # returns the place that it reached; a row whose loss is not finite is left to visit_rows, which names it
    if run.rows.wide:
        return visit_columns(run, w, X, <const int64_t*>run.rows.indices, <const int64_t*>run.rows.indptr, T, weights,
                             order, start, stop)
    return visit_columns(run, w, X, <const int32_t*>run.rows.indices, <const int32_t*>run.rows.indptr, T, weights,
                         order, start, stop)
