# --------------------------------------------------------------------------------------------------------- training

cdef enum:                  # places in `counters`
    EPOCH = 0               # epochs before this one
    POSITION = 1            # rows of the epoch that were visited
    UPDATES = 2             # updates made so far
    OPEN = 3                # rows in the batch that is open
    AVERAGED = 4            # iterates in the mean

cdef enum:                  # places in `totals`
    LOSS = 0                # Σ weight · loss before each update, in this epoch
    WEIGHT = 1              # Σ weight, in this epoch
    BATCH_LOSS = 2          # the same two over the batch that is open
    BATCH_WEIGHT = 3
    DEBT = 4                # Σ λ · l1 of all updates so far
    UNWEIGHTED = 5          # Σ loss, in this epoch
    PENALTY = 6             # Σ penalty of the weights before each update, in this epoch
    SUMMED = 7              # see _rules.pxi
    SHRUNK = 8
    UNCUT_SQUARES = 9
    UNCUT_SIZES = 10
    TOTALS = 11             # their number


cdef enum LazyKind:         # how the weights of a first layer whose rows are sparse are moved: see _lazy.pxi
    NOT_LAZY
    SCALED
    OWING
    TOUCHED
    IDLE
    TRUNCATED               # of dense rows as well: see _rules.pxi


cdef struct Lazy:
    LazyKind kind
    double scale
    double summed


cdef enum:
    POWERS = 48


cdef struct Idle:           # see _idle.pxi
    double[POWERS][9] powers        # of the matrix, to 1, 2, 4, …
    double[POWERS] fading           # of α
    bint summing                    # whether s takes the iterates
    int64_t* seen                   # (d,) the updates that the weights of each column have had


cdef struct Rules:          # where the step is another library's: see rules.py
    bint given
    double intercept_decay
    double bias_pull
    double slope_limit
    bint visit_zero_weight
    bint pass_over_zeros
    bint l1_on_touched
    bint average_before_l1
    bint objective
    bint price_before_l1
    const double* squares   # ‖x‖² of each row, where the objective needs them,
    Py_ssize_t every        # so many numbers apart
    double squared_norm     # ‖W‖² and Σ |W| of the weights as they are
    double absolute_norm


cdef struct Run:
    Net net
    Loss loss
    Method method
    Rules rules
    Rows rows
    Lazy lazy
    Idle idle
    Py_ssize_t itemsize
    Py_ssize_t columns      # of T
    Py_ssize_t stride       # from a row of T to the next, in numbers
    Py_ssize_t batch_size
    Py_ssize_t slots        # rows of the state: the optimizer's, and last
    Py_ssize_t mean         # that of the mean iterate, or −1
    double* paid            # what of the L1 penalty was paid by each parameter (and room for a copy), or NULL
    bint direct             # each row's update is made from its factors, without its gradient being written
    bint linear             # and is w ← keep · w − λ g
    bint simple             # and is w ← w − λ g and nothing else
    bint bias_apart         # biases move otherwise than by their gradient alone
    int64_t* counters
    double* totals
    double* trace           # (updates, 2): loss and norm of the gradient, or NULL
    int64_t first           # the update that the first row of the trace and of a table of rates is of
    double[2] powers        # of Adam's β₁ and β₂
    double norm             # of a gradient in whose place a passive-aggressive move stands


cdef inline double square_of(const Run* run, Py_ssize_t row) noexcept nogil:
    # ‖x‖²
    return run.rules.squares[row * run.rules.every]


cdef void plan(Run* run) noexcept nogil:
    # what follows from all that was given
    run.lazy.kind = lazy_kind(run)
    run.direct = (run.batch_size == 1 and run.method.clip_value == 0
                  and (run.rows.indices == NULL or run.lazy.kind != NOT_LAZY))
    run.linear = run.direct and plain(&run.method) and run.paid == NULL
    run.simple = (run.linear and run.method.decay == 0 and run.method.bias_decay == 0 and run.mean < 0
                  and not passive_aggressive(&run.method) and not run.rules.given)
    run.bias_apart = run.net.bias and (run.method.bias_decay != 0 or run.rules.intercept_decay != 1
                                       or run.rules.bias_pull != 0)
    if together(run) and (run.method.decay > 0 or run.mean >= 0):
        run.lazy.kind = SCALED
    run.rules.price_before_l1 &= run.paid != NULL and priced(run)


cdef inline void record(Run* run, const floating* params, double loss, double norm, floating* path_out) noexcept nogil:
    # one row of the trace: loss and norm of the gradient, and the parameters, all before the update
    cdef int64_t row = run.counters[UPDATES] - run.first
    run.trace[2 * row] = loss
    run.trace[2 * row + 1] = norm
    memcpy(path_out + row * run.net.size, params, run.net.size * sizeof(floating))


cdef inline double clipping(const Run* run, double norm) noexcept nogil:
    # the factor that brings a gradient of that norm to the largest allowed, as torch has it
    cdef double factor = run.method.clip_norm / (norm + 1e-6)
    return factor if run.method.clip_norm > 0 and factor < 1 else 1


cdef inline void truncate(floating* w, double* paid, double debt, Py_ssize_t n) noexcept nogil:
    # L1 by cumulative truncation: what is owed is taken off, but never past zero; `paid` is what was taken, signed
    cdef Py_ssize_t j
    cdef double z
    for j in range(n):
        z = w[j]
        if z > 0:
            w[j] = <floating>(z - (debt + paid[j]) if z > debt + paid[j] else 0)
        elif z < 0:
            w[j] = <floating>(z + (debt - paid[j]) if z < paid[j] - debt else 0)
        paid[j] += <double>w[j] - z


cdef inline void add_to_mean(floating* mean, const floating* w, double count, Py_ssize_t n) noexcept nogil:
    # mean ← mean + (w − mean) / count
    cdef floating share = <floating>(1 / count)
    cdef Py_ssize_t j
    for j in range(n):
        mean[j] += share * (w[j] - mean[j])


cdef inline void end_update(Run* run, const Now* now, floating* params, floating* state) noexcept nogil:
    # after the optimizer's move: the L1 penalty, and the mean of the iterates; lazy weights have their own time for it
    cdef const Net* net = &run.net
    cdef Py_ssize_t layer, at = 0, n, skip = net.sizes[0] * net.sizes[1] if run.lazy.kind != NOT_LAZY else 0
    run.counters[UPDATES] += 1
    if run.paid != NULL:
        run.totals[DEBT] += now.rate * run.method.debt
        for layer in range(net.layers):
            n = net.sizes[layer] * net.sizes[layer + 1]
            if layer > 0 or run.lazy.kind == NOT_LAZY:
                truncate(params + at, run.paid + at, run.totals[DEBT], n)
            at += n
            if net.bias:
                if run.method.bias_debt > 0:
                    truncate(params + at, run.paid + at, run.totals[DEBT], net.sizes[layer + 1])
                at += net.sizes[layer + 1]
    if run.mean >= 0 and run.counters[UPDATES] >= run.method.average:
        run.counters[AVERAGED] += 1
        run.lazy.summed += run.lazy.scale
        add_to_mean(state + run.mean * net.size + skip, params + skip, <double>run.counters[AVERAGED], net.size - skip)


cdef inline void move_network(Run* run, const Now* now, floating* params, floating* state, floating factor,
                              const floating* x, const Columns* at, const floating* outputs,
                              const floating* deltas) noexcept nogil:
    # every layer by its factors: ∂C/∂W_k = δ_k a, ∂C/∂b = δ
    cdef const Net* net = &run.net
    cdef Py_ssize_t layer, k, m, n = net.sizes[0]
    cdef const floating* a = x
    if run.method.decays != NULL:
        for k in range(net.sizes[1]):
            move_apart(run, now, k, params, state, factor * deltas[k], x, factor, deltas[k])
        return
    for layer in range(net.layers):
        m = net.sizes[layer + 1]
        if layer == 0 and run.lazy.kind != NOT_LAZY:
            move_lazily(run, now, params, state, factor, x, at, deltas)
        else:
            for k in range(m):
                move_block(&run.method, now, True, params + k * n, state + k * n, net.size, factor * deltas[k], a, n)
        params += m * n
        state += m * n
        if net.bias:
            move_biases(run, now, params, state, factor, deltas, m)
            params += m
            state += m
        a = outputs
        outputs += m
        deltas += m
        n = m


cdef inline floating aggressive(const Method* method, double value, floating slope, double squared) noexcept nogil:
    # passive-aggressive: the slope keeps its sign and becomes the length of the move that the loss asks for,
    # τ = min(C, loss / |x|²) or loss / (|x|² + 1 / 2C), where C is the learning rate
    cdef double tau
    cdef floating sign = (slope > <floating>0) - (slope < <floating>0)
    if method.schedule == PA2:
        tau = value / (squared + 0.5 / method.lr)
    else:
        tau = 0 if squared == 0 else value / squared
        tau = method.lr if method.lr < tau else tau
    return <floating>tau * sign + <floating>0 * slope       # a slope that is not finite shows


cdef inline void be_aggressive(Run* run, const floating* x, const Columns* at, const floating* y, const floating* t,
                               floating* slope) noexcept nogil:
    # each slope becomes the move that the loss asks for. The model is linear
    cdef double squared = dot(x, x, at.n, 0), value
    cdef floating ignored
    cdef Py_ssize_t k
    for k in range(run.net.sizes[1]):
        value = run.loss.scale * <double>loss_of_output(&run.loss, y[k], t[k], &ignored)
        slope[k] = aggressive(&run.method, value, slope[k], squared)


cdef inline void step(Run* run, floating* params, floating* state, double weight, double value, const floating* x,
                      const Columns* at, Py_ssize_t row, const floating* outputs, floating* deltas,
                      const floating* t, floating* path_out) noexcept nogil:
    # the update of one row, from the factors of its gradient
    cdef double factor = weight * run.loss.scale, norm = 0
    cdef Now now
    if run.trace != NULL or run.method.clip_norm > 0:
        norm = factor * sqrt(squared_norm(&run.net, x, at, outputs, deltas))
    if run.trace != NULL:
        record(run, params, value, norm, path_out)
    if run.simple:
        factor *= -rate_of(&run.method, run.counters[UPDATES] + 1, run.first) * clipping(run, norm)
        add_gradient(&run.net, params, <floating>factor, x, at, outputs, deltas)
        run.counters[UPDATES] += 1
        return
    if passive_aggressive(&run.method):
        be_aggressive(run, x, at, outputs, t, deltas)
        factor = weight
    factor *= clipping(run, norm)
    prepare(&run.method, run.counters[UPDATES] + 1, run.first, run.powers, &now)
    if run.rules.squares != NULL and run.lazy.kind != TRUNCATED:
        follow_norm(run, &now, params + run.net.size - run.net.sizes[1], factor, outputs, deltas, square_of(run, row))
    move_network(run, &now, params, state, <floating>factor, x, at, outputs, deltas)
    end_update(run, &now, params, state)


cdef void close_batch(Run* run, floating* params, floating* state, floating* gradient,
                      floating* path_out) noexcept nogil:
    # the update by the mean gradient, (Σ_i weight_i ∇_i) / n over the n rows of the batch
    cdef const Net* net = &run.net
    cdef double factor = 1 / <double>run.counters[OPEN], norm = 0
    cdef floating limit = <floating>run.method.clip_value, g
    cdef Py_ssize_t layer, j, at = 0, n
    cdef Now now
    if run.trace != NULL:
        norm = factor * sqrt(<double>dot(gradient, gradient, net.size, 0))
        if passive_aggressive(&run.method):
            norm = run.norm
        record(run, params, run.totals[BATCH_LOSS] / run.totals[BATCH_WEIGHT], norm, path_out)
    if limit > <floating>0:
        for j in range(net.size):
            g = <floating>factor * gradient[j]
            gradient[j] = limit if g > limit else -limit if g < -limit else g
        factor = 1
    if run.method.clip_norm > 0:
        factor *= clipping(run, factor * sqrt(<double>dot(gradient, gradient, net.size, 0)))
    prepare(&run.method, run.counters[UPDATES] + 1, run.first, run.powers, &now)
    if run.method.decays != NULL:
        move_outputs_apart(run, &now, params, state, <floating>factor, gradient)
    else:
        for layer in range(net.layers):
            n = net.sizes[layer] * net.sizes[layer + 1]
            move_block(&run.method, &now, True, params + at, state + at, net.size, <floating>factor, gradient + at, n)
            at += n
            if net.bias:
                n = net.sizes[layer + 1]
                move_biases(run, &now, params + at, state + at, <floating>factor, gradient + at, n)
                at += n
    end_update(run, &now, params, state)
    memset(gradient, 0, net.size * sizeof(floating))
    run.counters[OPEN] = 0
    run.totals[BATCH_LOSS] = run.totals[BATCH_WEIGHT] = 0


cdef inline Py_ssize_t visit_rows(Run* run, floating* params, floating* state, floating* gradient, floating* outputs,
                                  floating* deltas, const floating* X, const floating* T, const floating* weights,
                                  const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                                  floating* path_out) noexcept nogil:
    # one pass; returns `stop`, or the place in the order of the first row whose loss is not finite
    cdef const Net* net = &run.net
    cdef Py_ssize_t i, row, K = net.sizes[net.layers]
    cdef const floating* x
    cdef const floating* t
    cdef Columns at
    cdef double weight = 1, factor, value
    cdef bint asked = unforeseen(run, order, 1)
    for i in range(start, stop):
        row = order[i] if order != NULL else i
        if asked:
            ask_for_later(run, X, T, weights, order, i, stop)
        if weights != NULL:
            weight = weights[row]
            if weight == 0 and not run.rules.visit_zero_weight:
                continue
        x = X + row_at(run.rows, row, &at)
        t = T + row * run.stride
        if run.lazy.kind != NOT_LAZY:
            settle_row(run, params, state, &at)
        forward(net, params, x, &at, run.lazy.scale, outputs)
        value = loss_of_row(&run.loss, outputs + net.units - K, t, run.columns, K, deltas + net.units - K)
        if not isfinite(value):
            return i
        backward(net, params, outputs, deltas)
        run.totals[LOSS] += weight * value
        run.totals[WEIGHT] += weight
        if run.rules.given and not by_rules(run, params + net.size - K, value, x, &at, deltas):
            continue
        scale_slopes(&run.method, deltas + net.units - K, K)
        if run.direct:
            step(run, params, state, weight, value, x, &at, row, outputs, deltas, t, path_out)
            continue
        factor = weight * run.loss.scale
        if passive_aggressive(&run.method):
            if run.trace != NULL:
                run.norm = factor * sqrt(squared_norm(net, x, &at, outputs, deltas))
            be_aggressive(run, x, &at, outputs, t, deltas)
            factor = weight
        add_gradient(net, gradient, <floating>factor, x, &at, outputs, deltas)
        run.totals[BATCH_LOSS] += weight * value
        run.totals[BATCH_WEIGHT] += weight
        run.counters[OPEN] += 1
        if run.counters[OPEN] == run.batch_size:
            close_batch(run, params, state, gradient, path_out)
    return stop
