# ------------------------------------------------------------------------------------------------------ across units
# Where the samples are narrower than the first layer, its m units move together: within a pass the layer's weights are
# stored by columns, V = Wᵀ (d, m), so that z = b + Σ_j x_j V_j and V_j ← V_j − λ x_j δ are sums of long vectors.

cdef inline bint across_units(const Run* run) noexcept nogil:
    return run.net.sizes[0] * run.itemsize < 32 and run.net.sizes[1] >= run.net.sizes[0] and run.net.sizes[1] > 1


cdef void transpose(const floating* given, Py_ssize_t m, Py_ssize_t n, floating* out) noexcept nogil:
    cdef Py_ssize_t j, k
    for k in range(m):
        for j in range(n):
            out[j * m + k] = given[k * n + j]


cdef Py_ssize_t visit_across_units(Run* run, floating* params, floating* outputs, floating* deltas, floating* columns,
                                   const floating* X, const floating* T, const floating* weights, const int64_t* order,
                                   Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # one pass; returns `stop`, or the place in the order of the first row whose loss is not finite
    cdef const Net* net = &run.net
    cdef Py_ssize_t i, row, d = net.sizes[0], m = net.sizes[1], K = net.sizes[net.layers]
    cdef floating* b = params + m * d if net.bias else NULL
    cdef const floating* x
    cdef double weight = 1, value, factor
    cdef ActivationCode code
    cdef double parameter
    code, parameter = activation_of(net, 0)
    transpose(params, m, d, columns)
    for i in range(start, stop):
        row = order[i] if order != NULL else i
        if weights != NULL:
            weight = weights[row]
            if weight == 0:
                continue
        x = X + row * d
        weighted_rows(columns, x, d, m, outputs)
        if b != NULL:
            add_scaled(outputs, <floating>1, b, m)
        activate(code, parameter, outputs, m)
        forward_above(net, params, code != RELU, outputs)
        value = loss_of_row(&run.loss, outputs + net.units - K, T + row * run.columns, run.columns, K,
                            deltas + net.units - K)
        if not isfinite(value):
            stop = i
            break
        backward(net, params, outputs, deltas)
        factor = -rate_of(&run.method, run.counters[UPDATES] + 1, run.first) * weight * run.loss.scale
        add_above(net, params, <floating>factor, outputs, deltas)
        add_to_rows(columns, x, <floating>factor, deltas, d, m)
        if b != NULL:
            add_scaled(b, <floating>factor, deltas, m)
        run.counters[UPDATES] += 1
        run.totals[LOSS] += weight * value
        run.totals[WEIGHT] += weight
    transpose(columns, d, m, params)
    return stop
