# ---------------------------------------------------------------------------------------------------- lazy weights
# Where the rows are sparse, an update may cost no more than the row's non-zeros and still be that of dense rows, for
# the weights W of the first layer (the others are dense anyway). Within a pass
#   - the decay of plain SGD is a factor: W = scale · V, of which V is what is stored;
#   - an L1 penalty that a weight owes is taken off before the weight is read (without decay, all of it at once is the
#     same as a part of it after every update), and at the end;
#   - the sum of the iterates is S V − B with S = Σ scale, so that B ← B + S · (change of V) and idle weights need
#     nothing; B stands where the mean is kept between passes.
# Adagrad, FTRL and lazy Adam leave a weight without a gradient alone. All else gathers its gradient and is dense.

cdef enum:
    FOLD_BELOW_MINUS_LOG2 = 10      # the scale is folded into the weights below 2⁻¹⁰


cdef inline bint can_be_lazy(const Run* run) noexcept nogil:
    cdef const Method* method = &run.method
    if run.rows.indices == NULL or run.batch_size != 1 or run.trace != NULL or method.clip_value > 0:
        return False
    if method.optimizer == SGD:
        return plain(method) and (run.paid == NULL or method.decay == 0 and run.mean < 0)
    if method.optimizer == ADAM:
        return <AdamKind>(<int>method.numbers[3]) == LAZY and method.decay == 0
    return method.optimizer == FTRL or method.optimizer == ADAGRAD and method.decay == 0


cdef void open_lazy(Run* run, floating* params, floating* state) noexcept nogil:
    cdef Py_ssize_t j, n = run.net.sizes[0] * run.net.sizes[1]
    cdef floating* mean = state + run.mean * run.net.size
    run.lazy.scale, run.lazy.summed = 1, 0
    if run.lazy.on and run.mean >= 0:
        for j in range(n):
            mean[j] *= -<floating>run.counters[AVERAGED]


cdef void fold(Run* run, floating* params, floating* state) noexcept nogil:
    # scale ← 1 and S ← 0, with W and the sum of the iterates as they are
    cdef Py_ssize_t j, n = run.net.sizes[0] * run.net.sizes[1]
    cdef floating* b = state + run.mean * run.net.size
    cdef floating scale = <floating>run.lazy.scale, summed = <floating>run.lazy.summed
    if run.mean >= 0:
        for j in range(n):
            b[j] -= summed * params[j]
    if scale != 1:
        for j in range(n):
            params[j] *= scale
    run.lazy.scale, run.lazy.summed = 1, 0


cdef void close_lazy(Run* run, floating* params, floating* state) noexcept nogil:
    cdef Py_ssize_t j, n = run.net.sizes[0] * run.net.sizes[1]
    cdef floating* mean = state + run.mean * run.net.size
    if not run.lazy.on:
        return
    fold(run, params, state)
    if run.paid != NULL:
        truncate(params, run.paid, run.totals[DEBT], n)
    if run.mean >= 0 and run.counters[AVERAGED] > 0:
        for j in range(n):
            mean[j] /= -<floating>run.counters[AVERAGED]


cdef inline void settle_row(Run* run, floating* params, const Columns* at) noexcept nogil:
    # what the weights of the row's columns owe
    cdef Py_ssize_t k, i, place
    for k in range(run.net.sizes[1]):
        for i in range(at.n):
            place = k * run.net.sizes[0] + (at.narrow[i] if at.narrow != NULL else at.wide[i])
            truncate(params + place, run.paid + place, run.totals[DEBT], 1)


cdef inline void move_columns(const Method* method, const Now* now, floating* w, floating* state, Py_ssize_t size,
                              floating factor, const floating* x, const index_t* columns, Py_ssize_t n) noexcept nogil:
    if method.optimizer == ADAGRAD:
        move_sparse(now.adagrad, w, state, size, factor, x, columns, n)
    elif method.optimizer == FTRL:
        move_sparse(now.ftrl, w, state, size, factor, x, columns, n)
    else:
        move_sparse(now.adam, w, state, size, factor, x, columns, n)


cdef inline void add_columns(floating* b, floating c, const floating* w, const Columns* at) noexcept nogil:
    # b_j ← b_j + c w_j in the row's columns
    cdef Py_ssize_t i, j
    for i in range(at.n):
        j = at.narrow[i] if at.narrow != NULL else at.wide[i]
        b[j] += c * w[j]


cdef inline void move_lazily(Run* run, const Now* now, floating* w, floating* state, floating factor,
                             const floating* x, const Columns* at, const floating* deltas) noexcept nogil:
    cdef Py_ssize_t k, d = run.net.sizes[0]
    cdef floating* b = state + run.mean * run.net.size
    cdef floating change
    cdef bint averaged = run.mean >= 0 and run.lazy.summed > 0
    if run.method.optimizer == SGD and now.plain.keep != 1:
        run.lazy.scale *= now.plain.keep
        if not run.lazy.scale * (1 << FOLD_BELOW_MINUS_LOG2) >= 1:
            fold(run, w, state)
    for k in range(run.net.sizes[1]):
        change = factor * deltas[k]
        if run.method.optimizer == SGD:
            change = <floating>(-now.plain.rate * change / run.lazy.scale)
            add_row(w, change, x, at)
            if averaged:
                add_row(b, <floating>(run.lazy.summed * change), x, at)
        else:
            if averaged:
                add_columns(b, -<floating>run.lazy.summed, w, at)
            if at.narrow != NULL:
                move_columns(&run.method, now, w, state, run.net.size, change, x, at.narrow, at.n)
            else:
                move_columns(&run.method, now, w, state, run.net.size, change, x, at.wide, at.n)
            if averaged:
                add_columns(b, <floating>run.lazy.summed, w, at)
        w += d
        state += d
        b += d
