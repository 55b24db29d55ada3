# ----------------------------------------------------------------------------------------- few units, one hidden layer
# A network with one hidden layer of few relu units: see _few_units.h, which has its formulas. Within a pass its
# parameters are packed in whole lanes.

cdef enum:
    LANE_BYTES = 32
    NEAREST_BYTES = 1 << 15         # that stay in the first level of cache
    WORTH_PACKING = 16              # rows


cdef inline bint few_units(const Run* run, Py_ssize_t rows) noexcept nogil:
    # few also beside the features, which the units would otherwise be rows of
    cdef Py_ssize_t d = run.net.sizes[0], m = run.net.sizes[1]
    return (run.net.layers == 2 and run.net.codes[0] == RELU and rows >= WORTH_PACKING
            and d * m * run.itemsize <= NEAREST_BYTES and d <= 16 * m)


cdef inline Py_ssize_t in_whole_lanes(Py_ssize_t units, Py_ssize_t itemsize) noexcept nogil:
    return (units * itemsize + LANE_BYTES - 1) // LANE_BYTES * (LANE_BYTES // itemsize)


cdef inline void carry(floating* here, floating* there, bint back) noexcept nogil:
    if back:
        here[0] = there[0]
    else:
        there[0] = here[0]


cdef void pack(const Net* net, floating* params, Py_ssize_t m, floating* v, floating* u, bint back) noexcept nogil:
    # the parameters into v and u, or from there back
    cdef Py_ssize_t d = net.sizes[0], units = net.sizes[1], K = net.sizes[2], j, k
    cdef floating* above = params + units * (d + net.bias)
    for k in range(units):
        for j in range(d):
            carry(params + k * d + j, v + j * m + k, back)
    for k in range(K):
        for j in range(units):
            carry(above + k * units + j, u + k * m + j, back)
    if net.bias:
        for k in range(units):
            carry(params + units * d + k, v + d * m + k, back)
        for k in range(K):
            carry(above + K * units + k, u + K * m + k, back)


cdef inline void move_few_units(floating* v, floating* u, const floating* slope, const floating* x,
                                const floating* next, floating g, floating kappa, Py_ssize_t d, Py_ssize_t m,
                                Py_ssize_t K, floating* z, floating* y, floating* flaw) noexcept nogil:
    if floating is double:
        move_few_units_f64(v, u, slope, x, next, g, kappa, d, m, K, z, y, flaw)
    else:
        move_few_units_f32(v, u, slope, x, next, g, kappa, d, m, K, z, y, flaw)


cdef inline Py_ssize_t next_visit(const floating* weights, const int64_t* order, Py_ssize_t place, Py_ssize_t stop,
                                  Py_ssize_t* row_out) noexcept nogil:
    # the first place from `place` on whose row has a weight other than zero, or `stop`
    for place in range(place, stop):
        row_out[0] = order[place] if order != NULL else place
        if weights == NULL or weights[row_out[0]] != <floating>0:
            return place
    return stop


cdef Py_ssize_t visit_few_units(Run* run, floating* params, floating* work, const floating* X, const floating* T,
                                const floating* weights, const int64_t* order, Py_ssize_t start,
                                Py_ssize_t stop) noexcept nogil:
    # one pass; returns `stop`, or the place in the order of the first row whose loss is not finite
    cdef Py_ssize_t k, next, row = 0, next_row, d = run.net.sizes[0], K = run.net.sizes[2]
    cdef Py_ssize_t m = in_whole_lanes(run.net.sizes[1], sizeof(floating))
    cdef floating* v = <floating*>((<size_t>work + LINE_BYTES - 1) // LINE_BYTES * LINE_BYTES)
    cdef floating* z = v + (d + 1) * m
    cdef floating* u = z + m
    cdef floating* y = u + K * (m + 1)
    cdef floating* slope = y + K
    cdef const floating* x
    cdef const floating* next_x
    cdef floating kappa = run.net.bias, factor, flaw
    cdef double value, weight = 1
    cdef bint asked = unforeseen(run, order, 1)
    memset(v, 0, (slope + K - v) * sizeof(floating))
    pack(&run.net, params, m, v, u, False)
    start = next_visit(weights, order, start, stop, &row)
    if start < stop:                # outputs alone: the slopes are zero
        move_few_units(v, u, slope, X + row * d, X + row * d, <floating>0, kappa, d, m, K, z, y, &flaw)
    while start < stop:
        next_row = row
        next = next_visit(weights, order, start + 1, stop, &next_row)
        x, next_x = X + row * d, X + next_row * d
        if asked:
            ask_for_later(run, X, T, weights, order, start, stop)
        value = loss_of_row(&run.loss, y, T + row * run.stride, run.columns, K, slope) + <double>flaw
        if not isfinite(value):
            stop = start
            break
        if weights != NULL:
            weight = weights[row]
        run.counters[UPDATES] += 1
        run.totals[LOSS] += weight * value
        run.totals[WEIGHT] += weight
        factor = <floating>(-rate_of(&run.method, run.counters[UPDATES], run.first) * weight * run.loss.scale)
        for k in range(K):
            slope[k] *= factor
        move_few_units(v, u, slope, x, next_x, dot(x, next_x, d, kappa), kappa, d, m, K, z, y, &flaw)
        start, row = next, next_row
    pack(&run.net, params, m, v, u, True)
    return stop
