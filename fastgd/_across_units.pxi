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
    cdef Py_ssize_t i, row, d = run.net.sizes[0], m = run.net.sizes[1]
    cdef floating* b = params + m * d if run.net.bias else NULL
    cdef const floating* x
    cdef double weight = 1
    cdef floating factor
    cdef Step step
    cdef bint asked = unforeseen(run, order, 1)
    transpose(params, m, d, columns)
    for i in range(start, stop):
        row = order[i] if order != NULL else i
        if asked:
            ask_for_later(run, X, T, weights, order, i, stop)
        if weights != NULL:
            weight = weights[row]
            if weight == 0:
                continue
        x = X + row * d
        weighted_rows(columns, x, d, m, outputs)
        if b != NULL:
            add_scaled(outputs, <floating>1, b, m)
        if not isfinite(step_from_sums(run, row, weight, T + row * run.stride, params, outputs, deltas, &step)):
            stop = i
            break
        factor = <floating>step.factor
        add_to_rows(columns, x, factor, deltas, d, m)
        if b != NULL:
            add_scaled(b, factor, deltas, m)
    transpose(columns, d, m, params)
    return stop
