# --------------------------------------------------------------------------------------- blocks of rows, many units
# The first layer of a network, or a linear model of many outputs, is m linear maps of the same rows. A block of steps
# reads and writes its weights once, and they are the same steps: with a_i = −λ · weight_i · δ_i for the m units and S
# the product of the factors keep_i by which L2 shrinks the weights, 1 before the first step,
#     z_j = S W x_j + b + Σ_{i<j} a_i x_i·x_j,   and then   a_i ← keep_j a_i,   S ← keep_j S,   b ← b + κ (a_j − λ ν),
# and at the end   W_k ← S W_k + Σ_i a_ik x_i. What is above the first layer moves at every step. κ and ν: see rules.py.

cdef inline bint units_in_blocks(const Run* run) noexcept nogil:
    # of what blocks take, one output alone is averaged, clipped by norm, aggressive or has a bias that decays
    return (in_blocks(run) and not one_unit(run) and run.rows.d * run.itemsize <= UNITS_BYTES and run.mean < 0
            and run.method.clip_norm == 0 and run.method.bias_decay == 0 and not passive_aggressive(&run.method))


cdef inline Py_ssize_t pair(Py_ssize_t i, Py_ssize_t k) noexcept nogil:
    # the place of x_i·x_k, k < i
    return i * (i - 1) // 2 + k


cdef inline void products_of_rows(const floating** x, Py_ssize_t size, Py_ssize_t n, floating* g_out) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef floating q[PAIRS]
    block_products(x, n, g_out)
    if size == BLOCK:
        return
    block_products(x + BLOCK, n, q)
    for i in range(BLOCK):
        for k in range(i):
            g_out[pair(BLOCK + i, BLOCK + k)] = q[pair(i, k)]
        if i % 2 == 0:
            block_dots(x[BLOCK + i], x[BLOCK + i + 1], x, n, g_out + pair(BLOCK + i, 0),
                       g_out + pair(BLOCK + i + 1, 0))


cdef inline void sums_of_units(const Net* net, const floating* params, const floating** x, Py_ssize_t size,
                               floating* z_out) noexcept nogil:
    # z_ik = W_k · x_i at i m + k
    cdef Py_ssize_t i, k, first, n = net.sizes[0], m = net.sizes[1], other
    cdef floating p[ROWS]
    cdef floating q[ROWS]
    for k in range(0, m, 2):
        other = k + 1 if k + 1 < m else k
        first = 0
        while first < size:
            block_dots(params + k * n, params + other * n, x + first, n, p + first, q + first)
            first += BLOCK
        for i in range(size):
            z_out[i * m + k] = p[i]
            z_out[i * m + other] = q[i]


cdef inline void add_rows_to_two(floating* w, floating* v, floating keep_w, floating keep_v, const floating* c,
                                 const floating* e, const floating** x, Py_ssize_t size, Py_ssize_t n) noexcept nogil:
    # w ← keep_w · w + Σ_i c_i x_i and v ← keep_v · v + Σ_i e_i x_i over all rows of a block
    if keep_w != <floating>1 or keep_v != <floating>1:
        add_block_to_two(w, v, keep_w, keep_v, c, e, x, n)
    else:
        add_block_to_two(w, v, <floating>1, <floating>1, c, e, x, n)
    if size > BLOCK:
        add_block_to_two(w, v, <floating>1, <floating>1, c + BLOCK, e + BLOCK, x + BLOCK, n)


cdef inline bint some_are_zero(const floating* a, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if a[i] == <floating>0:
            return True
    return False


cdef inline void move_units(const Run* run, floating* params, const double* rates, Py_ssize_t steps,
                            const floating* a, const floating** x, Py_ssize_t size) noexcept nogil:
    # W_k ← keep · W_k + Σ_i a_ik x_i, for two units at once or, if none shrinks, without rows at which a unit was off.
    # The units that were multiplied last come first: they are still in the first level of cache
    cdef Py_ssize_t i, k = run.net.sizes[1], count, n = run.net.sizes[0], m = run.net.sizes[1]
    cdef floating keep = 1, keep_next = 1
    cdef floating c[ROWS]
    cdef floating e[ROWS]
    cdef const floating* on[ROWS]
    cdef bint shrunk = run.method.decay != 0, together = shrunk or not some_are_zero(a, size * m)
    while k > 1 and together:
        k -= 2
        if shrunk:
            keep = <floating>kept_of_unit(run, k, rates, steps)
            keep_next = <floating>kept_of_unit(run, k + 1, rates, steps)
        for i in range(size):
            c[i], e[i] = a[i * m + k], a[i * m + k + 1]
        add_rows_to_two(params + k * n, params + (k + 1) * n, keep, keep_next, c, e, x, size, n)
    while k > 0:
        k -= 1
        count = 0
        if shrunk:
            keep = <floating>kept_of_unit(run, k, rates, steps)
        for i in range(size):
            c[count], on[count] = a[i * m + k], x[i]
            count += shrunk or not nothing_to_add(c[count], n)
        if keep == <floating>1:
            add_rows(params + k * n, c, on, count, n)
        else:
            add_block(params + k * n, keep, c, on, n)
            add_rows(params + k * n, c + BLOCK, on + BLOCK, count - BLOCK, n)


cdef inline void decay_above(const Net* net, floating* params, double keep) noexcept nogil:
    # W ← keep · W of every layer above the first
    cdef Py_ssize_t layer, j, n = net.sizes[1] * (net.sizes[0] + net.bias)
    for layer in range(1, net.layers):
        params += n
        for j in range(net.sizes[layer] * net.sizes[layer + 1]):
            params[j] *= <floating>keep
        n = net.sizes[layer + 1] * (net.sizes[layer] + net.bias)


cdef struct Step:
    double rate
    double factor           # −λ · weight, by which the first layer's weights are to move along its slopes
    double keep             # by which they are to shrink


cdef inline double step_from_sums(Run* run, Py_ssize_t row, double weight, const floating* t, floating* params,
                                  floating* outputs, floating* deltas, Step* step_out) noexcept nogil:
    # a step of all that is above the first layer, whose sums stand in `outputs`. Returns the loss before the step, or,
    # with nothing changed, NaN or inf
    cdef const Net* net = &run.net
    cdef Py_ssize_t K = net.sizes[net.layers]
    cdef double value
    cdef ActivationCode code
    cdef double parameter
    cdef Now now
    code, parameter = activation_of(net, 0)
    activate(code, parameter, outputs, net.sizes[1])
    forward_above(net, params, code != RELU, outputs)
    value = loss_of_row(&run.loss, outputs + net.units - K, t, run.columns, K, deltas + net.units - K)
    if not isfinite(value):
        return value
    backward(net, params, outputs, deltas)
    run.counters[UPDATES] += 1
    run.totals[LOSS] += weight * value
    run.totals[WEIGHT] += weight
    if run.rules.given:
        by_rules(run, params + net.size - K, value, outputs, NULL, deltas)
    scale_slopes(&run.method, deltas + net.units - K, K)
    now.plain.rate = rate_of(&run.method, run.counters[UPDATES], run.first)
    now.plain.keep = kept(&run.method, now.plain.rate, run.method.decay)
    if run.rules.squares != NULL:
        follow_norm(run, &now, params + net.size - K, weight * run.loss.scale, outputs, deltas, square_of(run, row))
    step_out.rate, step_out.keep = now.plain.rate, now.plain.keep
    step_out.factor = -now.plain.rate * weight * run.loss.scale
    if now.plain.keep != 1:
        decay_above(net, params, now.plain.keep)
    add_above(net, params, <floating>step_out.factor, outputs, deltas)
    return value


cdef inline bint step_of_units(Run* run, Py_ssize_t i, const Block* block, const floating* T, const floating* g,
                               floating* params, floating* outputs, floating* deltas, const floating* z, floating* a,
                               double* rates) noexcept nogil:
    # the i-th step of a block; False if the loss before it is not finite, and then nothing is changed
    cdef Py_ssize_t k, row = block.row[i], m = run.net.sizes[1]
    cdef floating* b = params + m * run.net.sizes[0]
    cdef floating* a_i = a + i * m
    cdef bint own = run.method.decays != NULL
    cdef double kept_so_far = 1 if own else kept_of_unit(run, 0, rates, i)
    cdef Step step
    for k in range(m):
        outputs[k] = <floating>kept_so_far * z[i * m + k]
    for k in range(m if own else 0):
        outputs[k] *= <floating>kept_of_unit(run, k, rates, i)
    if run.net.bias:
        add_scaled(outputs, <floating>1, b, m)
    for k in range(i):
        add_scaled(outputs, g[pair(i, k)], a + k * m, m)
    if not isfinite(step_from_sums(run, row, block.weight[i], T + row * run.stride, params, outputs, deltas, &step)):
        return False
    rates[i] = step.rate
    if own:
        decay_apart(run, step.rate, i, a)
    elif step.keep != 1:
        for k in range(i * m):
            a[k] *= <floating>step.keep
    for k in range(m):
        a_i[k] = <floating>step.factor * deltas[k]
    if run.net.bias:
        add_scaled(b, <floating>run.rules.intercept_decay, a_i, m)
        if run.rules.bias_pull != 0:
            for k in range(m):
                b[k] -= <floating>(step.rate * run.rules.bias_pull * run.rules.intercept_decay)
    return True


cdef Py_ssize_t visit_unit_blocks(Run* run, floating* params, floating* outputs, floating* deltas, floating* block_work,
                                  const floating* X, const floating* T, const floating* weights, const int64_t* order,
                                  Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # Returns the place that it reached. Fewer rows, and a row with anything that is not finite, are left to visit_rows.
    cdef Py_ssize_t i, d = run.net.sizes[0], m = run.net.sizes[1], size = BLOCK, steps
    cdef const floating* x[ROWS]
    cdef floating g[ROW_PAIRS]
    cdef floating* z = block_work
    cdef floating* a = z + ROWS * m
    cdef Block block
    cdef bint finite = True, asked = unforeseen(run, order, size)
    cdef double rates[ROWS]
    if run.net.layers > 1 and d * m * run.itemsize > NEAREST_BYTES:
        size = ROWS
    while finite and next_rows(run, &block, size, weights, order, start, stop):
        for i in range(size):
            x[i] = X + block.row[i] * d
        memset(a, 0, size * m * sizeof(floating))
        products_of_rows(x, size, d, g)
        sums_of_units(&run.net, params, x, size, z)
        steps = 0
        while finite and steps < size:
            if asked:
                ask_for_later(run, X, T, weights, order, start, stop)
            finite = step_of_units(run, steps, &block, T, g, params, outputs, deltas, z, a, rates)
            if finite:
                start, steps = block.behind[steps], steps + 1
        move_units(run, params, rates, steps, a, x, size)
    return start
