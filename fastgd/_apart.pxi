# ---------------------------------------------------------------------------------------------------- outputs apart
# The outputs of a linear model may each have a rate r_k λ and a decay h_k γ of their own, with plain SGD: their slopes
# are multiplied by r_k, and method.decays holds r_k h_k γ of the weights of each and then of the biases.

cdef inline bint outputs_apart(const Method* method) noexcept nogil:
    # whether outputs have rates or decays of their own
    return method.lr_factors != NULL or method.decays != NULL


cdef inline void scale_slopes(const Method* method, floating* slopes, Py_ssize_t K) noexcept nogil:
    # which makes a rate of its own for each output of a linear model
    cdef Py_ssize_t k
    if method.lr_factors != NULL:
        for k in range(K):
            slopes[k] *= <floating>method.lr_factors[k]


cdef void move_apart(const Run* run, const Now* now, Py_ssize_t k, floating* params, floating* state, floating factor,
                     const floating* direction, floating bias_factor, floating slope) noexcept nogil:
    # the k-th output of a linear model, with its own decays: W_k by its gradient factor · direction, b_k by
    # bias_factor · slope
    cdef Py_ssize_t n = run.net.sizes[0], m = run.net.sizes[1]
    cdef PlainRule rule
    rule.rate, rule.keep = now.rate, kept(&run.method, now.rate, run.method.decays[k])
    move_dense(rule, params + k * n, state, run.net.size, factor, direction, <floating>0, n)
    rule.keep = kept(&run.method, now.rate, run.method.decays[m + k])
    if run.net.bias:
        move_dense(rule, params + m * n + k, state, run.net.size, bias_factor, &slope, <floating>0, 1)


cdef void move_outputs_apart(const Run* run, const Now* now, floating* params, floating* state, floating factor,
                             const floating* gradient) noexcept nogil:
    # all of them by a gradient, times the factor
    cdef Py_ssize_t k, n = run.net.sizes[0], m = run.net.sizes[1]
    for k in range(m):
        move_apart(run, now, k, params, state, factor, gradient + k * n, factor,
                   gradient[m * n + k] if run.net.bias else 0)


cdef inline double decay_of(const Run* run, Py_ssize_t k) noexcept nogil:
    return run.method.decay if run.method.decays == NULL else run.method.decays[k]


cdef inline double kept_of_unit(const Run* run, Py_ssize_t k, const double* rates, Py_ssize_t steps) noexcept nogil:
    # by how much so many steps, with these rates, have shrunk the weights of unit k
    cdef double product = 1
    cdef Py_ssize_t i
    for i in range(steps):
        product *= kept(&run.method, rates[i], decay_of(run, k))
    return product


cdef inline void decay_apart(const Run* run, double rate, Py_ssize_t i, floating* a) noexcept nogil:
    # a_j ← keep · a_j for j < i, where each output has its own
    cdef Py_ssize_t j, k, m = run.net.sizes[1]
    for k in range(m):
        for j in range(i):
            a[j * m + k] *= <floating>kept(&run.method, rate, run.method.decays[k])
