# ------------------------------------------------------------------------------------------------------------ rules
# Where the step is another library's (see rules.py): linear models, plain SGD, a row at a time.

cdef int read_rules(Rules* rules, tuple given) except -1:
    # from codes.rules_numbers
    rules.given, rules.intercept_decay, rules.bias_pull, rules.slope_limit = given[:4]
    rules.visit_zero_weight, rules.pass_over_zeros, rules.l1_on_touched = given[4:7]
    rules.average_before_l1, rules.objective, rules.price_before_l1 = given[7:10]
    return 0


cdef inline floating limited(floating slope, floating limit) noexcept nogil:
    # a slope that is not a number stays so; a branch that is hardly ever taken keeps no one waiting
    if slope > limit or slope < -limit:
        KEEP_BRANCH()
        return limit if slope > <floating>0 else -limit
    return slope


# -------------------------------------------------------------------------------------------------------- objective

cdef inline bint priced(const Run* run) noexcept nogil:
    # whether the objective has a term besides the loss
    return run.rules.objective and not passive_aggressive(&run.method)


cdef void measure(Run* run, const floating* w) noexcept nogil:
    # the norms of the weights at the beginning of a pass; the updates then bring them up to date. Those of the weights
    # before L1 last cut them stay from pass to pass; where one is 0 nothing was cut
    cdef Py_ssize_t j, n = run.net.sizes[0] * run.net.sizes[1]
    run.rules.squared_norm = sum_of_squares(w, n) if priced(run) else 0
    run.rules.absolute_norm = 0
    if priced(run) and run.method.debt > 0:
        for j in range(n):
            run.rules.absolute_norm += fabs(<double>w[j])
    if run.rules.price_before_l1 and run.totals[UNCUT_SIZES] == 0:
        run.totals[UNCUT_SQUARES], run.totals[UNCUT_SIZES] = run.rules.squared_norm, run.rules.absolute_norm


cdef inline double price(const Run* run, double squared_norm, double biases) noexcept nogil:
    # P(W) + ν Σ b
    cdef double absolute_norm = run.rules.absolute_norm
    if run.rules.price_before_l1:
        squared_norm, absolute_norm = run.totals[UNCUT_SQUARES], run.totals[UNCUT_SIZES]
    return run.method.decay / 2 * squared_norm + run.method.debt * absolute_norm + run.rules.bias_pull * biases


cdef inline double norm_gained(double keep, double change, double m, double square) noexcept nogil:
    # ‖keep · w + change · x‖² − keep² ‖w‖², from w·x = m and ‖x‖²
    return change * (2 * keep * m + change * square)


cdef inline bint by_rules(Run* run, const floating* b, double value, const floating* x, const Columns* at,
                          floating* slopes) noexcept nogil:
    # what comes before a row's update; tells whether there is to be one
    cdef Py_ssize_t k
    cdef double biases = 0
    if run.rules.objective:
        run.totals[UNWEIGHTED] += value
        if priced(run):
            for k in range(run.net.sizes[1] * run.net.bias):
                biases += <double>b[k]
            run.totals[PENALTY] += price(run, run.rules.squared_norm, biases)
    if run.rules.pass_over_zeros and run.method.schedule == PA1 and dot(x, x, at.n, 0) == <floating>0:
        return False
    for k in range(run.net.sizes[1]):
        slopes[k] = limited(slopes[k], <floating>run.rules.slope_limit)
    return True


cdef inline void follow_norm(Run* run, const Now* now, const floating* b, double factor, const floating* y,
                             const floating* slopes, double square) noexcept nogil:
    # ‖W‖² after the update w_k ← keep · w_k − rate · factor · slope_k x
    cdef double keep = now.plain.keep
    cdef Py_ssize_t k
    run.rules.squared_norm *= keep * keep
    for k in range(run.net.sizes[1]):
        run.rules.squared_norm += norm_gained(keep, -now.plain.rate * factor * <double>slopes[k],
                                              <double>y[k] - (<double>b[k] if run.net.bias else 0), square)


# ------------------------------------------------------------------------------------------------------------- moves

cdef inline void move_biases(const Run* run, const Now* now, floating* b, floating* state, floating factor,
                             const floating* direction, Py_ssize_t n) noexcept nogil:
    # as the optimizer does it, or by the rules b ← b + κ (−rate · factor · direction − λ ν)
    cdef Py_ssize_t k
    cdef double pull = now.rate * run.rules.bias_pull
    if not run.rules.given:
        move_block(&run.method, now, False, b, state, run.net.size, factor, direction, n)
        return
    for k in range(n):
        b[k] -= rounded(<floating>(run.rules.intercept_decay
                                   * (now.plain_bias.rate * <double>(factor * direction[k]) + pull)))


cdef inline void move_bias(const Run* run, double rate, floating moved, floating* b) noexcept nogil:
    # that of a single unit, which its gradient alone would move so
    cdef double keep = kept(&run.method, rate, run.method.bias_decay)
    moved = <floating>(run.rules.intercept_decay * (<double>moved - rate * run.rules.bias_pull))
    b[0] = <floating>keep * b[0] + rounded(moved)


cdef inline double after_l1(double z, double owed, double* paid) noexcept nogil:
    # a weight z less what it owes and has not paid, but never past zero
    cdef double left = 0
    if z > 0 and z > owed + paid[0]:
        left = z - (owed + paid[0])
    elif z < 0 and z < paid[0] - owed:
        left = z + (owed - paid[0])
    return left


cdef inline void shrink(Run* run, double keep, floating* w, floating* state) noexcept nogil:
    # W ← keep · W, folded where scikit-learn would if the mean depends on it
    run.rules.squared_norm *= keep * keep
    run.rules.absolute_norm *= keep
    run.totals[UNCUT_SQUARES] *= keep * keep
    run.totals[UNCUT_SIZES] *= keep
    if run.mean < 0 or not run.rules.average_before_l1:
        decay_scale(run, keep, w, state)
        return
    run.lazy.scale *= keep
    run.totals[SHRUNK] = keep * (run.totals[SHRUNK] if run.totals[SHRUNK] > 0 else 1)
    if run.totals[SHRUNK] < (1e-9 if sizeof(floating) == 8 else 1e-6):
        fold(run, w, state)
        run.totals[SHRUNK] = 1


cdef void move_truncated(Run* run, const Now* now, floating* w, floating* state, floating factor, const floating* x,
                         const Columns* at, const floating* slopes) noexcept nogil:
    # in the columns that the row stores: W ← keep · W − rate · factor · slope x, less what L1 is owed. W = scale · V,
    # and the sum of the iterates is S V − B (see _lazy.pxi); by average_before_l1 what L1 takes is not entered in B.
    cdef Py_ssize_t i, j, k
    cdef double scale, change, moved, entered, was, z, left, owed = run.totals[DEBT] + now.rate * run.method.debt
    cdef floating* b = state + run.mean * run.net.size
    cdef double* paid = run.paid
    cdef floating before
    cdef double squares, sizes
    cdef bint averaged = run.mean >= 0 and run.lazy.summed > 0, still = True
    shrink(run, now.plain.keep, w, state)
    scale = run.lazy.scale
    squares, sizes = run.rules.squared_norm, run.rules.absolute_norm
    for k in range(run.net.sizes[1]):
        change = -now.plain.rate * <double>(factor * slopes[k]) / scale
        still = still and change == 0
        for i in range(at.n):
            j = column_of(at, i) if sparse(at) else i
            before = w[j]
            moved = <double>before + change * <double>x[i]
            z = scale * moved
            left = after_l1(z, owed, &paid[j])
            w[j] = <floating>(left / scale)
            left = scale * <double>w[j]
            paid[j] += left - z
            if averaged:
                entered = moved if run.rules.average_before_l1 else <double>w[j]
                b[j] += <floating>(run.lazy.summed * (entered - <double>before))
            if run.rules.objective:
                was = scale * <double>before
                squares += z * z - was * was
                sizes += fabs(z) - fabs(was)
                run.rules.squared_norm += left * left - was * was
                run.rules.absolute_norm += fabs(left) - fabs(was)
        w += run.net.sizes[0]
        b += run.net.sizes[0]
        paid += run.net.sizes[0]
    if run.rules.price_before_l1 and not still:
        run.totals[UNCUT_SQUARES], run.totals[UNCUT_SIZES] = squares, sizes
