# ----------------------------------------------------------------------------------------- exponential and logarithm
# Our own, because libm's differ from machine to machine in the last bit. Both are within 2 units in the last place.

cdef union Bits:
    double number
    int64_t bits


cdef inline double exp_of_negative(double x) noexcept nogil:
    # e^x for x ≤ 0: 2^k e^r with k = round(x / ln 2), |r| ≤ ln 2 / 2, e^r by its Taylor series; 0 below −708
    cdef double k, r, series
    cdef Bits power
    if x < -708:
        return 0
    k = x * 1.4426950408889634 + 6755399441055744.0      # adding 1.5 · 2^52 rounds to an integer
    k = k - 6755399441055744.0
    r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10       # ln 2 in two parts
    series = 1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
    series = 1.0 / 3628800 + r * (1.0 / 39916800.0 + r * series)
    series = 1.0 / 40320 + r * (1.0 / 362880 + r * series)
    series = 1.0 / 720 + r * (1.0 / 5040 + r * series)
    series = 1.0 / 24 + r * (1.0 / 120 + r * series)
    series = 1.0 / 2 + r * (1.0 / 6 + r * series)
    power.bits = (<int64_t>k + 1023) << 52
    return power.number * (1 + (r + r * r * series))


cdef inline double log_of_one_plus(double e) noexcept nogil:
    # log(1 + e) for 0 ≤ e ≤ 1: 2 atanh(s) with s = f / (2 + f), where 1 + e = 2^k (1 + f) and f is small
    cdef double f = e, k = 0, s, z, series
    if e > 0.41421356237309503:
        f = (e - 1) / 2
        k = 1
    s = f / (2 + f)
    z = s * s
    series = 1.0 / 15 + z * (1.0 / 17 + z * (1.0 / 19 + z * (1.0 / 21)))
    series = 1.0 / 9 + z * (1.0 / 11 + z * (1.0 / 13 + z * series))
    series = 1.0 / 3 + z * (1.0 / 5 + z * (1.0 / 7 + z * series))
    return k * 0.69314718055994530942 + 2 * (s + s * z * series)


# ----------------------------------------------------------------------------------------------------------- losses
# Each returns the loss of one output, y raw prediction and t target, and writes its slope ∂C/∂y. A loss that is a
# multiple of another (mse and sse of the half square) has a scale, which the pass applies to both. Constants beside
# a `floating` are cast to it, because Cython writes them as double, and float would be promoted.

cpdef enum LossCode:
    MSE
    SSE
    SQUARED_ERROR
    ABSOLUTE
    HUBER
    LOG_LOSS


cdef struct Loss:
    LossCode code
    double parameter
    double scale


cdef inline floating half_square(floating y, floating t, floating* slope_out) noexcept nogil:
    # C = r²/2, slope r, with r = y − t
    cdef floating r = y - t
    slope_out[0] = r
    return r * r / <floating>2


cdef inline floating absolute(floating y, floating t, floating* slope_out) noexcept nogil:
    # C = |r|, slope sign(r), with r = y − t
    cdef floating r = y - t
    slope_out[0] = (r > <floating>0) - (r < <floating>0)
    return r * slope_out[0]


cdef inline floating huber(floating y, floating t, floating delta, floating* slope_out) noexcept nogil:
    # C = s (r − s/2), slope s, with r = y − t and s = r clipped to ±δ: r²/2 inside, δ(|r| − δ/2) outside
    cdef floating r = y - t
    cdef floating s = delta if r > delta else -delta if r < -delta else r
    slope_out[0] = s
    return s * (r - s / <floating>2)


cdef inline floating log_loss(floating y, floating t, floating* slope_out) noexcept nogil:
    # C = max(y, 0) − t y + log(1 + e), slope σ(y) − t, with e = exp(−|y|): nothing overflows or cancels
    cdef double raw = y, target = t
    cdef double e = exp_of_negative(-raw if raw > 0 else raw)
    if raw >= 0:
        slope_out[0] = <floating>(((1 - target) - target * e) / (1 + e))
        return <floating>((raw - target * raw) + log_of_one_plus(e))
    slope_out[0] = <floating>(((1 - target) * e - target) / (1 + e))
    return <floating>(-target * raw + log_of_one_plus(e))


cdef inline floating loss_of_output(Loss loss, floating y, floating t, floating* slope_out) noexcept nogil:
    if loss.code == LOG_LOSS:
        return log_loss(y, t, slope_out)
    if loss.code == HUBER:
        return huber(y, t, <floating>loss.parameter, slope_out)
    if loss.code == ABSOLUTE:
        return absolute(y, t, slope_out)
    return half_square(y, t, slope_out)


cdef inline double loss_of_row(Loss loss, const floating* y, const floating* t, Py_ssize_t K,
                               floating* slope_out) noexcept nogil:
    # Σ_k C(y_k, t_k); 0·y_k is NaN where y_k is not finite, so that no flat loss can hide it
    cdef Py_ssize_t k
    cdef double total = 0
    for k in range(K):
        total += <double>loss_of_output(loss, y[k], t[k], &slope_out[k]) + 0 * <double>y[k]
    return total * loss.scale
