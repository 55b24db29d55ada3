# ------------------------------------------------------------------------------------------------------ activations
# Each turns a unit's sum z into its output a; its derivative is written in the output. Where exponentials are needed
# the arithmetic is in double. Of a sum that is not finite the output is not finite either, so that it shows in the
# loss: what levels off adds 0·z.

cpdef enum ActivationCode:
    RELU
    LEAKY_RELU
    TANH
    LOGISTIC
    IDENTITY
    SOFTPLUS


cdef inline double tanh(double z) noexcept nogil:
    # (1 − e) / (1 + e) with e = exp(−2|z|), from e − 1, so that small z keep their digits
    cdef double less_one = expm1_of_negative(-2 * z if z > 0 else 2 * z)
    cdef double size = -less_one / (2 + less_one)
    return size if z > 0 else -size


cdef inline double logistic(double z) noexcept nogil:
    # 1 / (1 + exp(−z)) without overflow
    cdef double e = exponential(-z if z > 0 else z)
    return (1 if z >= 0 else e) / (1 + e)


cdef inline double softplus(double z) noexcept nogil:
    # log(1 + exp(z)); z itself above 20, as in torch
    if z > 20:
        return z
    return (z if z > 0 else 0) + log_of_one_plus(exponential(-z if z > 0 else z))


cdef inline floating size_of(floating z) noexcept nogil:
    if floating is double:
        return fabs(z)
    else:
        return fabsf(z)


cdef inline floating activated(ActivationCode code, double parameter, floating z) noexcept nogil:
    if code == RELU:
        return (z + size_of(z)) / <floating>2       # without a branch, which could not be foreseen
    if code == LEAKY_RELU:
        return z if z > <floating>0 else <floating>parameter * z
    if code == TANH:
        return <floating>(tanh(z) + 0 * <double>z)
    if code == LOGISTIC:
        return <floating>(logistic(z) + 0 * <double>z)
    if code == SOFTPLUS:
        return <floating>(softplus(z) + 0 * <double>z)
    return z


cdef inline void activate(ActivationCode code, double parameter, floating* a, Py_ssize_t n) noexcept nogil:
    # a ← its activation, for all units of a layer
    cdef Py_ssize_t k
    if code == RELU:                    # a loop of its own, which the compiler writes in vectors
        for k in range(n):
            a[k] = activated(RELU, 0, a[k])
    elif code != IDENTITY:
        for k in range(n):
            a[k] = activated(code, parameter, a[k])


cdef inline void times_slope(ActivationCode code, double parameter, const floating* a, floating* delta,
                             Py_ssize_t n) noexcept nogil:
    # delta ← delta · ∂a/∂z
    cdef Py_ssize_t k
    cdef floating slope = <floating>parameter
    if code == RELU:
        for k in range(n):
            delta[k] = delta[k] if a[k] > <floating>0 else <floating>0
    elif code == LEAKY_RELU:
        for k in range(n):
            delta[k] = delta[k] if a[k] > <floating>0 else slope * delta[k]
    elif code == TANH:
        for k in range(n):
            delta[k] *= <floating>1 - a[k] * a[k]
    elif code == LOGISTIC:
        for k in range(n):
            delta[k] *= a[k] * (<floating>1 - a[k])
    elif code == SOFTPLUS:
        for k in range(n):
            if not a[k] > <floating>20:
                delta[k] *= <floating>-expm1_of_negative(-<double>a[k])
