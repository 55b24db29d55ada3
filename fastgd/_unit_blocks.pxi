# --------------------------------------------------------------------------------------- blocks of rows, many units
# The first layer of a network, or a linear model of many outputs, is m linear maps of the same rows. BLOCK steps at
# once read and write its weights once, and are the same steps: with a_i = −λ · weight_i · δ_i for the m units,
#     z_j = W x_j + b + Σ_{i<j} a_i (x_i·x_j + 1),   and at the end   W_k ← W_k + Σ_i a_ik x_i,   b ← b + Σ_i a_i.
# What is above the first layer moves at every step.

cdef struct Block:
    Py_ssize_t[BLOCK] row
    Py_ssize_t[BLOCK] behind        # the place behind each row in the order
    double[BLOCK] weight


cdef inline bint next_rows(Block* block, const floating* weights, const int64_t* order, Py_ssize_t place,
                           Py_ssize_t stop) noexcept nogil:
    # the next BLOCK rows of non-zero weight; False if there are fewer
    cdef Py_ssize_t count = 0, row
    while count < BLOCK:
        if place >= stop:
            return False
        row = order[place] if order != NULL else place
        place += 1
        block.row[count], block.behind[count] = row, place
        block.weight[count] = weights[row] if weights != NULL else 1
        count += block.weight[count] != 0
    return True


cdef inline void sums_of_units(const Net* net, const floating* params, const floating** x, floating* g_out,
                               floating* z_out) noexcept nogil:
    # z_ik = W_k · x_i + b_k at i m + k, and g_ik = x_i·x_k for k < i, at i (i − 1) / 2 + k
    cdef Py_ssize_t i, k, n = net.sizes[0], m = net.sizes[1], other
    cdef const floating* b = params + m * n
    cdef floating p[BLOCK]
    cdef floating q[BLOCK]
    block_sums(params, x, n, <floating>0, p, g_out, x, True)
    for k in range(0, m, 2):
        other = k + 1 if k + 1 < m else k
        block_dots(params + k * n, params + other * n, x, n, p, q)
        for i in range(BLOCK):
            z_out[i * m + k] = p[i] + (b[k] if net.bias else <floating>0)
            z_out[i * m + other] = q[i] + (b[other] if net.bias else <floating>0)


cdef inline void move_units(const Net* net, floating* params, const floating* a, const floating** x) noexcept nogil:
    # W_k ← W_k + Σ_i a_ik x_i, without the rows at which a unit was off, and b ← b + Σ_i a_i
    cdef Py_ssize_t i, k, count, n = net.sizes[0], m = net.sizes[1]
    cdef floating c[BLOCK]
    cdef Py_ssize_t on[BLOCK]
    if net.bias:
        for i in range(BLOCK):
            add_scaled(params + m * n, <floating>1, a + i * m, m)
    for k in range(m):
        count = 0
        for i in range(BLOCK):
            c[i] = a[i * m + k]
            on[count] = i
            count += not nothing_to_add(c[i], n)
        if count == BLOCK:
            add_block(params + k * n, c, x, n, NULL)
        elif count == 3:
            add_three(params + k * n, c[on[0]], x[on[0]], c[on[1]], x[on[1]], c[on[2]], x[on[2]], n)
        elif count == 2:
            add_two(params + k * n, c[on[0]], x[on[0]], c[on[1]], x[on[1]], n)
        elif count == 1:
            add_scaled(params + k * n, c[on[0]], x[on[0]], n)


cdef inline double step_from_sums(Run* run, double weight, const floating* t, floating* params, floating* outputs,
                                  floating* deltas, double* factor_out) noexcept nogil:
    # a step of all that is above the first layer, whose sums stand in `outputs`. Writes the factor −λ · weight by which
    # the first layer's weights are to move along its slopes; returns the loss before the step, or, with nothing
    # changed, NaN or inf
    cdef const Net* net = &run.net
    cdef Py_ssize_t K = net.sizes[net.layers]
    cdef double value
    cdef ActivationCode code
    cdef double parameter
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
    factor_out[0] = -rate_of(&run.method, run.counters[UPDATES], run.first) * weight * run.loss.scale
    add_above(net, params, <floating>factor_out[0], outputs, deltas)
    return value


cdef inline double step_of_units(Run* run, Py_ssize_t i, double weight, const floating* t, const floating* g,
                                 floating* params, floating* outputs, floating* deltas, const floating* z,
                                 floating* a) noexcept nogil:
    # the i-th step of a block; writes a_i and returns the loss before it, or, with nothing changed, NaN or inf
    cdef Py_ssize_t k, m = run.net.sizes[1]
    cdef double value, factor
    memcpy(outputs, z + i * m, m * sizeof(floating))
    for k in range(i):
        add_scaled(outputs, g[i * (i - 1) // 2 + k] + run.net.bias, a + k * m, m)
    value = step_from_sums(run, weight, t, params, outputs, deltas, &factor)
    if isfinite(value):
        for k in range(m):
            a[i * m + k] = <floating>factor * deltas[k]
    return value


cdef Py_ssize_t visit_unit_blocks(Run* run, floating* params, floating* outputs, floating* deltas, floating* block_work,
                                  const floating* X, const floating* T, const floating* weights, const int64_t* order,
                                  Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # Returns the place that it reached. Fewer rows, and a row with anything that is not finite, are left to visit_rows.
    cdef Py_ssize_t i, d = run.net.sizes[0], m = run.net.sizes[1]
    cdef const floating* x[BLOCK]
    cdef floating g[PAIRS]
    cdef floating* z = block_work
    cdef floating* a = z + BLOCK * m
    cdef Block block
    while next_rows(&block, weights, order, start, stop):
        for i in range(BLOCK):
            x[i] = X + block.row[i] * d
        memset(a, 0, BLOCK * m * sizeof(floating))
        sums_of_units(&run.net, params, x, g, z)
        for i in range(BLOCK):
            if not isfinite(step_of_units(run, i, block.weight[i], T + block.row[i] * run.columns, g, params, outputs,
                                          deltas, z, a)):
                move_units(&run.net, params, a, x)
                return start
            start = block.behind[i]
        move_units(&run.net, params, a, x)
    return start
