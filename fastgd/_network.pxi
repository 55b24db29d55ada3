# ---------------------------------------------------------------------------------------------------------- networks
# Layer l maps the n numbers of the layer below to m: z_k = W_k · a + b_k, and all but the last layer apply an
# activation. A linear model is a network of one layer. The parameters are one vector, layer by layer W (m, n) row by
# row and then b (m,); the outputs of all layers, and the slopes δ = ∂C/∂z of all layers, are vectors of the same kind.

cdef struct Net:
    Py_ssize_t layers
    const int64_t* sizes            # (layers + 1,) d, h1, …, K
    const int64_t* codes            # (layers − 1,) activations
    const double* slopes            # (layers − 1,) their parameters
    bint bias
    Py_ssize_t size                 # parameters
    Py_ssize_t units                # outputs of all layers


cdef int read_net(Net* net, tuple given) except -1:
    # from (sizes, activation codes, their parameters, bias), whose arrays must outlive it
    cdef const int64_t[::1] sizes = given[0], codes = given[1]
    cdef const double[::1] slopes = given[2]
    cdef Py_ssize_t layer
    net.layers, net.bias = sizes.shape[0] - 1, given[3]
    net.sizes, net.codes, net.slopes = &sizes[0], NULL, NULL
    if net.layers > 1:
        net.codes, net.slopes = &codes[0], &slopes[0]
    net.size = net.units = 0
    for layer in range(net.layers):
        net.size += net.sizes[layer + 1] * (net.sizes[layer] + net.bias)
        net.units += net.sizes[layer + 1]
    return 0


cdef inline (ActivationCode, double) activation_of(const Net* net, Py_ssize_t layer) noexcept nogil:
    if layer + 1 == net.layers:
        return IDENTITY, 0
    return <ActivationCode>net.codes[layer], net.slopes[layer]


cdef inline void map_layer(const floating* w, const floating* b, const floating* a, Py_ssize_t n, Py_ssize_t m,
                           ActivationCode code, double parameter, bint just_written, floating* outputs) noexcept nogil:
    # the activation of z_k = W_k · a + b_k; b may be NULL
    cdef Py_ssize_t k
    cdef floating start
    for k in range(m):
        start = b[k] if b != NULL else <floating>0
        if narrow(n, a):
            outputs[k] = activated(code, parameter, narrow_dot(w + k * n, a, n, start))
        elif just_written and n <= NARROW:
            outputs[k] = activated(code, parameter, short_dot(w + k * n, a, n, start))
        else:
            outputs[k] = activated(code, parameter, dot(w + k * n, a, n, start))


cdef inline void map_row(const floating* w, double scale, const floating* b, const floating* x, const Columns* at,
                         Py_ssize_t n, Py_ssize_t m, ActivationCode code, double parameter,
                         floating* outputs) noexcept nogil:
    # the same of a row of any kind; the weights are `scale` times what is stored
    cdef Py_ssize_t k
    cdef floating z
    for k in range(m):
        z = <floating>scale * dot_row(w + k * n, x, at, <floating>0) + (b[k] if b != NULL else <floating>0)
        outputs[k] = activated(code, parameter, z)


cdef inline void forward_above(const Net* net, const floating* params, bint just_written,
                               floating* outputs) noexcept nogil:
    # the outputs of every layer above the first, from those of the first, which may just have been written one by one
    cdef Py_ssize_t layer, n = net.sizes[1], m
    cdef ActivationCode code
    cdef double parameter
    params += n * (net.sizes[0] + net.bias)
    for layer in range(1, net.layers):
        m = net.sizes[layer + 1]
        code, parameter = activation_of(net, layer)
        map_layer(params, params + m * n if net.bias else NULL, outputs, n, m, code, parameter, just_written,
                  outputs + n)
        just_written = True
        params += m * (n + net.bias)
        outputs += n
        n = m


cdef inline void forward(const Net* net, const floating* params, const floating* x, const Columns* at, double scale,
                         floating* outputs) noexcept nogil:
    # the outputs of every layer
    cdef Py_ssize_t n = net.sizes[0], m = net.sizes[1]
    cdef const floating* b = params + m * n if net.bias else NULL
    cdef ActivationCode code
    cdef double parameter
    code, parameter = activation_of(net, 0)
    if sparse(at) or scale != 1:
        map_row(params, scale, b, x, at, n, m, code, parameter, outputs)
    else:
        map_layer(params, b, x, n, m, code, parameter, False, outputs)
    forward_above(net, params, True, outputs)


cdef inline void backward(const Net* net, const floating* params, const floating* outputs,
                          floating* deltas) noexcept nogil:
    # from the slopes of the last layer those of every layer below: δ_below = (Wᵀ δ) · ∂a/∂z
    cdef Py_ssize_t layer, n, m
    cdef const floating* w = params + net.size
    cdef floating* below
    outputs += net.units
    deltas += net.units
    for layer in range(net.layers - 1, 0, -1):
        n, m = net.sizes[layer], net.sizes[layer + 1]
        w -= m * n + (m if net.bias else 0)
        deltas -= m
        outputs -= m
        below = deltas - n
        weighted_rows(w, deltas, m, n, below)
        times_slope(<ActivationCode>net.codes[layer - 1], net.slopes[layer - 1], outputs - n, below, n)


cdef inline void add_above(const Net* net, floating* gradient, floating factor, const floating* outputs,
                           const floating* deltas) noexcept nogil:
    # gradient ← gradient + factor · ∂C/∂(W, b) of every layer above the first, where ∂C/∂W_k = δ_k a and ∂C/∂b_k = δ_k
    cdef Py_ssize_t layer, k, n = net.sizes[1], m
    gradient += n * (net.sizes[0] + net.bias)
    for layer in range(1, net.layers):
        deltas += n
        m = net.sizes[layer + 1]
        if n <= NARROW:
            add_to_rows(gradient, deltas, factor, outputs, m, n)
        else:
            for k in range(m):
                if not nothing_to_add(deltas[k], n):
                    add_scaled(gradient + k * n, factor * deltas[k], outputs, n)
        gradient += m * n
        if net.bias:
            add_scaled(gradient, factor, deltas, m)
            gradient += m
        outputs += n
        n = m


cdef inline void add_gradient(const Net* net, floating* gradient, floating factor, const floating* x,
                              const Columns* at, const floating* outputs, const floating* deltas) noexcept nogil:
    # the same of every layer
    cdef Py_ssize_t k, n = net.sizes[0], m = net.sizes[1]
    if not sparse(at) and n <= NARROW:
        add_to_rows(gradient, deltas, factor, x, m, n)
    else:
        for k in range(m):
            add_row(gradient + k * n, factor * deltas[k], x, at)
    if net.bias:
        add_scaled(gradient + m * n, factor, deltas, m)
    add_above(net, gradient, factor, outputs, deltas)


cdef inline double squared_norm(const Net* net, const floating* x, const Columns* at, const floating* outputs,
                                const floating* deltas) noexcept nogil:
    # of the gradient of one row: Σ over layers of |δ|² (|a|² + 1)
    cdef Py_ssize_t layer, n = at.n, m
    cdef const floating* a = x
    cdef double total = 0
    for layer in range(net.layers):
        m = net.sizes[layer + 1]
        total += <double>dot(deltas, deltas, m, 0) * <double>dot(a, a, n, net.bias)
        a = outputs
        outputs += m
        deltas += m
        n = m
    return total
