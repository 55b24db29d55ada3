# ----------------------------------------------------------------------------------------------------------- passes
# A pass over rows goes the quickest way that does what was chosen, and is made wholly or not at all.

cdef struct Before:         # a pass
    int64_t[5] counters
    double[TOTALS] totals
    bint with_gradient


cdef void remember(Run* run, const floating* params, const floating* state, const floating* gradient,
                   floating* params_before, Before* before) noexcept nogil:
    cdef Py_ssize_t size = run.net.size
    memcpy(params_before, params, size * sizeof(floating))
    memcpy(params_before + size, state, run.slots * size * sizeof(floating))
    before.with_gradient = not run.direct
    if before.with_gradient:
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
    if before.with_gradient:
        memcpy(gradient, params_before + (1 + run.slots) * size, size * sizeof(floating))
    if run.paid != NULL:
        memcpy(run.paid, run.paid + size, size * sizeof(double))
    memcpy(run.counters, before.counters, sizeof(before.counters))
    memcpy(run.totals, before.totals, sizeof(before.totals))


cdef inline void begin_pass(Run* run) noexcept nogil:
    # what steps count from
    run.first = run.counters[UPDATES]
    if run.method.optimizer == ADAM or run.method.optimizer == ADAMW:
        run.powers[0] = whole_power(run.method.numbers[0], run.first)
        run.powers[1] = whole_power(run.method.numbers[1], run.first)


cdef Py_ssize_t make_pass(Run* run, floating* params, floating* state, floating* gradient, floating* outputs,
                          const floating* X, const floating* T, const floating* weights, const int64_t* order,
                          Py_ssize_t start, Py_ssize_t stop, bint close, bint by_rows, bint last,
                          floating* path_out) noexcept nogil:
    # returns −1, or the place of a row that was not finite; unless `by_rows`, perhaps of a later one. Only the `last`
    # of several looks at what it leaves: what is not finite stays so
    cdef Py_ssize_t size = run.net.size, reached = start, end = start, finite
    cdef floating* deltas = outputs + run.net.units
    cdef floating* w = params
    cdef Reading how
    open_lazy(run, params, state)
    measure(run, params)
    if by_rows:
        pass
    elif together(run):
        how = reading(run, order != NULL)
        w = placed(run, &how, params, X, stop - start, deltas + run.net.units)
        while end < stop and reached == end:
            reached = visit_together(run, &how, w, state, X, T, weights, order, reached, stop)
            end = min(reached + TOGETHER, stop)
            reached = visit_rows(run, w, state, gradient, outputs, deltas, X, T, weights, order, reached, end, path_out)
        if w != params:
            memcpy(params, w, size * sizeof(floating))
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
    if reached == stop and isfinite(run.totals[LOSS]) and (not last or (
            all_finite(params + finite, size - finite) and all_finite(state, run.slots * size)
            and (run.direct or all_finite(gradient, size)))):
        return -1
    return min(reached, max(start, stop - 1))


cdef Py_ssize_t train_rows(Run* run, floating* params, floating* state, floating* gradient, floating* work,
                           const floating* X, const floating* T, const floating* weights, const int64_t* order,
                           Py_ssize_t start, Py_ssize_t stop, bint close, Py_ssize_t epochs, double* losses_out,
                           floating* path_out) noexcept nogil:
    # as many passes as epochs, each over the next places of the order if there is one, that undo themselves: returns
    # −1, or the place of the row that was not finite with all as it was before. The mean losses of all but the last are
    # kept. Rows that were taken together tell no row, and their products may overflow where they themselves do not; so
    # such a pass, if it is the only one, is made again by rows
    cdef floating* params_before = work + run.net.sizes[0] * <Py_ssize_t>(sizeof(int64_t) // sizeof(floating))
    cdef floating* outputs = params_before + (1 + run.slots + (0 if run.direct else 1)) * run.net.size
    cdef Py_ssize_t bad = -1, epoch, places = stop - start if order != NULL else 0
    cdef Before before
    run.idle.seen = <int64_t*>work
    remember(run, params, state, gradient, params_before, &before)
    for epoch in range(epochs):
        begin_pass(run)
        bad = make_pass(run, params, state, gradient, outputs, X, T, weights, order, start, stop, close, False,
                        epoch == epochs - 1, path_out)
        if bad >= 0 or epoch == epochs - 1:
            break
        losses_out[epoch] = run.totals[LOSS] / run.totals[WEIGHT] if run.totals[WEIGHT] != 0 else NAN
        memset(run.totals, 0, DEBT * sizeof(double))
        plan(run)                                   # which may be another after the first update
        start, stop = start + places, stop + places
    if bad >= 0 and epochs == 1 and together(run):
        undo(run, params, state, gradient, params_before, &before)
        bad = make_pass(run, params, state, gradient, outputs, X, T, weights, order, start, stop, close, True, True,
                        path_out)
    if bad >= 0:
        undo(run, params, state, gradient, params_before, &before)
    return bad


# ---------------------------------------------------------------------------------------------------- what is given

cdef void* address(array) except NULL:
    cdef const unsigned char[::1] octets = memoryview(array).cast("B")
    return <void*>&octets[0]


cdef int read_rows(Rows* rows, Py_ssize_t d, indices, indptr) except -1:
    # the buffers must outlive it
    rows.d, rows.indices, rows.indptr = d, NULL, NULL
    if indices is not None:
        rows.indices, rows.indptr = address(indices), address(indptr)
        rows.wide = indices.itemsize == 8
    return 0


cdef int read_loss(Loss* loss, tuple given) except -1:
    # from (code, parameter, scale, address of a C function or 0)
    cdef size_t function = given[3]
    loss.code, loss.parameter, loss.scale = given[:3]
    loss.function = <double (*)(double, double, double*) noexcept nogil>function
    return 0


cdef int read_method(Run* run, tuple given) except -1:
    # from (optimizer, schedule, decay, debt, average, clip_value, clip_norm, slots, rules): see codes.method_numbers
    cdef Method* method = &run.method
    cdef const double[::1] rates, lr_factors, decays
    cdef int i
    method.optimizer, method.lr = given[0][:2]
    method.schedule = given[1][0]
    for i in range(4):
        method.numbers[i] = given[0][2][i]
    for i in range(2):
        method.schedule_numbers[i] = given[1][1][i]
    method.rates = NULL
    if given[1][2] is not None:
        rates = given[1][2]
        method.rates = &rates[0]
    method.lr_factors = method.decays = NULL
    if given[0][3] is not None:
        lr_factors = given[0][3]
        method.lr_factors = &lr_factors[0]
    if given[0][4] is not None:
        decays = given[0][4]
        method.decays = &decays[0]
    method.decay, method.bias_decay, method.clamp = given[2]
    method.debt, method.bias_debt = given[3]
    method.average, method.clip_value, method.clip_norm = given[4:7]
    run.slots = given[7] + (method.average > 0)
    run.mean = given[7] if method.average > 0 else -1
    read_rules(&run.rules, given[8])
    run.rules.slope_limit /= run.loss.scale
    return 0


cdef class Pass:
    """Passes over the same rows by the same method: holds the exported buffers of all that they need, so that these
    cannot move."""

    cdef tuple held
    cdef void* params
    cdef void* state                # NULL if there is none, as are weights; a CSR matrix may have no non-zeros
    cdef void* gradient
    cdef void* work
    cdef const void* X
    cdef const void* T
    cdef const void* weights
    cdef bint double_precision
    cdef Run run                    # not planned yet

    def __init__(self, params not None, state, paid, gradient, work, counters, totals, X, indices, indptr, T, weights,
                 tuple net not None, tuple loss not None, tuple method not None, Py_ssize_t batch_size, squares=None):
        self.double_precision = params.itemsize == 8
        if self.double_precision:
            hold[double](self, params, state, paid, gradient, work, counters, totals, X, T, weights, squares)
        else:
            hold[float](self, params, state, paid, gradient, work, counters, totals, X, T, weights, squares)
        self.held += (net, loss, method, *(memoryview(given) for given in (indices, indptr) if given is not None))
        read_net(&self.run.net, net)
        read_rows(&self.run.rows, self.run.net.sizes[0], indices, indptr)
        read_loss(&self.run.loss, loss)
        read_method(&self.run, method)
        self.run.batch_size = batch_size

    def visit(self, const int64_t[::1] order, Py_ssize_t start, Py_ssize_t stop, bint close=False, trace_out=None,
              path_out=None, Py_ssize_t epochs=1, list history=None):
        """Visit the rows ``order[start:stop]``; return −1, or the place of a row that is not finite, all undone.

        Of several epochs each visits as many, the next places of the order if there is one. All but the last are
        finished: ``history`` gets their mean losses, and nothing can interrupt what belongs together.
        """
        cdef Run run = self.run
        cdef const int64_t* places = NULL if order is None else &order[0]
        cdef double[:, ::1] trace
        cdef double[::1] losses = None
        cdef double* kept = NULL
        cdef void* path = NULL
        cdef Py_ssize_t bad
        if trace_out is not None:
            trace, path = trace_out, address(path_out) if path_out.size else NULL
            run.trace = &trace[0, 0]
        if epochs > 1:
            losses = memoryview(bytearray((epochs - 1) * sizeof(double))).cast("d")
            kept = &losses[0]
        plan(&run)
        with nogil:
            if self.double_precision:
                bad = make[double](self, &run, places, start, stop, close, epochs, kept, <double*>path)
            else:
                bad = make[float](self, &run, places, start, stop, close, epochs, kept, <float*>path)
            if bad < 0:
                run.counters[POSITION] += stop - start
        if bad < 0 and epochs > 1:
            # not list(losses): that ends by an error inside it, in whose traceback Ctrl-C would be lost
            history[run.counters[EPOCH]:] = [losses[epoch] for epoch in range(epochs - 1)]
            run.counters[EPOCH] += epochs - 1
        return bad


cdef int hold(
    Pass self,
    floating[::1] params,           # (P,) changed in place
    floating[::1] state,            # (slots · P,) of the optimizer, and the mean, or None
    double[::1] paid,               # (2P,) what was paid of an L1 penalty, and room for a copy, or None
    floating[::1] gradient,         # (P,) sum over the open batch
    floating[::1] work,             # scratch: see engine.work_size
    int64_t[::1] counters,          # (5,) epoch, position, updates, rows in the open batch, averaged
    double[::1] totals,             # (11,) loss and weight of the epoch, the same of the open batch, debt, …
    const floating[::1] X,          # (n · d,) or, of a CSR matrix, (non-zeros,)
    const floating[:, :] T,         # (n, K), or (n, 1) class indices; its rows may stand apart
    const floating[::1] weights,    # (n,) or None for ones
    const double[:] squares,        # (n,) ‖x‖² of the rows, where Rules ask for the objective, or None
) except -1:
    cdef Run* run = &self.run
    if T.strides[0] % <Py_ssize_t>sizeof(floating) or T.shape[1] > 1 and T.strides[1] != sizeof(floating):
        raise ValueError("the numbers of a row of T must stand side by side, and rows whole numbers apart")
    self.held = (params, state, paid, gradient, work, counters, totals, X, T, weights, squares)
    self.params, self.gradient, self.work, self.T = &params[0], &gradient[0], &work[0], &T[0, 0]
    self.X = &X[0] if X.shape[0] > 0 else NULL
    self.state = &state[0] if state is not None and state.shape[0] > 0 else NULL
    self.weights = &weights[0] if weights is not None else NULL
    run.itemsize, run.rows.n, run.columns = sizeof(floating), T.shape[0], T.shape[1]
    run.stride = T.strides[0] // run.itemsize
    run.counters, run.totals, run.trace = &counters[0], &totals[0], NULL
    run.paid = &paid[0] if paid is not None else NULL
    run.rules.squares, run.rules.every = NULL, 0
    if squares is not None:
        run.rules.squares, run.rules.every = &squares[0], squares.strides[0] // <Py_ssize_t>sizeof(double)
    return 0


cdef Py_ssize_t make(Pass self, Run* run, const int64_t* order, Py_ssize_t start, Py_ssize_t stop, bint close,
                     Py_ssize_t epochs, double* losses_out, floating* path_out) noexcept nogil:
    return train_rows(run, <floating*>self.params, <floating*>self.state, <floating*>self.gradient,
                      <floating*>self.work, <const floating*>self.X, <const floating*>self.T,
                      <const floating*>self.weights, order, start, stop, close, epochs, losses_out, path_out)
