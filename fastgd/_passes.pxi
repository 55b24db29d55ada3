# ----------------------------------------------------------------------------------------------------------- passes
# A pass over rows goes the quickest way that does what was chosen, and is made wholly or not at all.

cdef struct Before:         # a pass
    int64_t[5] counters
    double[TOTALS] totals


cdef void remember(Run* run, const floating* params, const floating* state, const floating* gradient,
                   floating* params_before, Before* before) noexcept nogil:
    cdef Py_ssize_t size = run.net.size
    memcpy(params_before, params, size * sizeof(floating))
    memcpy(params_before + size, state, run.slots * size * sizeof(floating))
    if not run.direct:
        memcpy(params_before + (1 + run.slots) * size, gradient, size * sizeof(floating))
    if run.paid != NULL:
        memcpy(run.paid + size, run.paid, size * sizeof(double))
    memcpy(before.counters, run.counters, sizeof(before.counters))
    memcpy(before.totals, run.totals, sizeof(before.totals))


cdef void undo(Run* run, floating* params, floating* state, floating* gradient, const floating* params_before,
               const Before* before) noexcept nogil:
    cdef Py_ssize_t size = run.net.size
    memcpy(params, params_before, size * sizeof(floating))
    memcpy(state, params_before + size, run.slots * size * sizeof(floating))
    if not run.direct:
        memcpy(gradient, params_before + (1 + run.slots) * size, size * sizeof(floating))
    if run.paid != NULL:
        memcpy(run.paid, run.paid + size, size * sizeof(double))
    memcpy(run.counters, before.counters, sizeof(before.counters))
    memcpy(run.totals, before.totals, sizeof(before.totals))


cdef Py_ssize_t make_pass(Run* run, floating* params, floating* state, floating* gradient, floating* outputs,
                          const floating* X, const floating* T, const floating* weights, const int64_t* order,
                          Py_ssize_t start, Py_ssize_t stop, bint close, bint by_rows,
                          floating* path_out) noexcept nogil:
    # returns −1, or the place of a row that was not finite; unless `by_rows`, perhaps of a later one
    cdef Py_ssize_t size = run.net.size, reached = start, end = start, finite
    cdef floating* deltas = outputs + run.net.units
    open_lazy(run, params, state)
    measure(run, params)
    if by_rows:
        pass
    elif together(run):
        while end < stop and reached == end:
            reached = visit_together(run, params, state, X, T, weights, order, reached, stop)
            end = min(reached + TOGETHER, stop)
            reached = visit_rows(run, params, state, gradient, outputs, deltas, X, T, weights, order, reached, end,
                                 path_out)
    elif one_by_one(run):
        reached = visit_sparse(run, params, X, T, weights, order, start, stop)
    elif not units_in_blocks(run):
        pass
    elif run.simple and few_units(run, stop - start):
        reached = visit_few_units(run, params, outputs, X, T, weights, order, start, stop)
    elif run.simple and across_units(run):
        reached = visit_across_units(run, params, outputs, deltas, deltas + run.net.units, X, T, weights, order, start,
                                     stop)
    else:
        reached = visit_unit_blocks(run, params, outputs, deltas, deltas + run.net.units, X, T, weights, order, start,
                                    stop)
    reached = visit_rows(run, params, state, gradient, outputs, deltas, X, T, weights, order, reached, stop, path_out)
    finite = close_lazy(run, params, state)
    if reached == stop and close and run.counters[OPEN] > 0:
        close_batch(run, params, state, gradient, path_out)
        finite = 0
    if (reached == stop and isfinite(run.totals[LOSS]) and all_finite(params + finite, size - finite)
            and all_finite(state, run.slots * size) and (run.direct or all_finite(gradient, size))):
        return -1
    return reached if reached < stop else max(start, stop - 1)


cdef Py_ssize_t train_rows(Run* run, floating* params, floating* state, floating* gradient, floating* work,
                           const floating* X, const floating* T, const floating* weights, const int64_t* order,
                           Py_ssize_t start, Py_ssize_t stop, bint close, floating* path_out) noexcept nogil:
    # a pass that undoes itself: returns −1, or the place of the row that was not finite with all as it was before.
    # Rows that were taken together tell no row, and their products may overflow where they themselves do not; so such a
    # pass is made again by rows
    cdef floating* params_before = work + run.net.sizes[0] * <Py_ssize_t>(sizeof(int64_t) // sizeof(floating))
    cdef floating* outputs = params_before + (1 + run.slots + (0 if run.direct else 1)) * run.net.size
    cdef Py_ssize_t bad
    cdef Before before
    run.idle.seen, run.first = <int64_t*>work, run.counters[UPDATES]
    if run.method.optimizer == ADAM or run.method.optimizer == ADAMW:
        run.powers[0] = whole_power(run.method.numbers[0], run.first)
        run.powers[1] = whole_power(run.method.numbers[1], run.first)
    remember(run, params, state, gradient, params_before, &before)
    bad = make_pass(run, params, state, gradient, outputs, X, T, weights, order, start, stop, close, False, path_out)
    if bad >= 0 and together(run):
        undo(run, params, state, gradient, params_before, &before)
        bad = make_pass(run, params, state, gradient, outputs, X, T, weights, order, start, stop, close, True, path_out)
    if bad >= 0:
        undo(run, params, state, gradient, params_before, &before)
    return bad
