# ----------------------------------------------------------------------------------------------------------- losses
# Each returns the loss of one output, y raw prediction and t target, and writes its slope ∂C/∂y. A loss that is a
# multiple of another (mse and sse of the half square) has a scale, which the pass applies to both. Cases are told apart
# by factors of 0 and 1 rather than by branches, which could not be foreseen. Constants beside a `floating` are cast to
# it, because Cython writes them as double, and float would be promoted. Formulas that need an exponential compute in
# double.

cpdef enum LossCode:
    MSE
    SSE
    SQUARED_ERROR
    ABSOLUTE
    HUBER
    EPSILON_INSENSITIVE
    SQUARED_EPSILON_INSENSITIVE
    QUANTILE
    POISSON
    GAMMA
    TWEEDIE
    LOG_LOSS
    HINGE
    SQUARED_HINGE
    MODIFIED_HUBER
    PERCEPTRON
    CROSS_ENTROPY
    C_FUNCTION


cdef struct Loss:
    LossCode code
    double parameter
    double scale
    double (*function)(double y, double t, double* slope_out) noexcept nogil    # of C_FUNCTION


# ------------------------------------------------------------------------------------------------- targets are numbers

cdef inline floating half_square(floating r, floating* slope_out) noexcept nogil:
    # C = r²/2, slope r, with r = y − t
    slope_out[0] = r
    return r * r / <floating>2


cdef inline floating side_of(floating r, floating limit) noexcept nogil:
    # +1 where r is above the limit, −1 where it is below −limit, else 0
    return (r > limit) - (r < -limit)


cdef inline floating absolute(floating y, floating t, floating* slope_out) noexcept nogil:
    # C = |r|, slope sign(r), with r = y − t
    cdef floating r = y - t
    slope_out[0] = side_of(r, <floating>0)
    return r * slope_out[0]


cdef inline floating huber(floating y, floating t, floating delta, floating* slope_out) noexcept nogil:
    # C = s (r − s/2), slope s, with r = y − t and s = r clipped to ±δ: r²/2 inside, δ(|r| − δ/2) outside
    cdef floating r = y - t
    cdef floating side = side_of(r, delta)
    cdef floating s = (<floating>1 - side * side) * r + side * delta
    slope_out[0] = s
    return s * (r - s / <floating>2)


cdef inline floating epsilon_insensitive(floating y, floating t, floating epsilon, floating* slope_out) noexcept nogil:
    # C = max(0, |r| − ε), slope sign(r) where |r| > ε, with r = y − t
    cdef floating r = y - t
    slope_out[0] = side_of(r, epsilon)
    return slope_out[0] * (r - slope_out[0] * epsilon)


cdef inline floating squared_epsilon_insensitive(floating y, floating t, floating epsilon,
                                                 floating* slope_out) noexcept nogil:
    # C = q², slope 2q, with q what of r = y − t is beyond ±ε
    cdef floating r = y - t
    cdef floating side = side_of(r, epsilon)
    cdef floating q = side * side * (r - side * epsilon)
    slope_out[0] = q + q
    return q * q


cdef inline floating quantile(floating y, floating t, floating tau, floating* slope_out) noexcept nogil:
    # C = τ (t − y) and slope −τ below the target, C = (1 − τ)(y − t) and slope 1 − τ above it
    cdef floating r = y - t
    cdef floating side = side_of(r, <floating>0)
    cdef floating above = (side * side + side) / <floating>2
    slope_out[0] = above * (<floating>1 - tau) - (above - side) * tau
    return r * slope_out[0]


# ----------------------------------------------------------------------------------- means of targets are exponentials

cdef inline double saturated_exponential(double z, size_t itemsize) noexcept nogil:
    # e^z, but never more than e^700, or in float32 (itemsize 4) e^80, so that it is finite
    cdef double cap = 700 if itemsize == 8 else 80
    return exponential(cap if z > cap else z)


cdef inline floating poisson(floating y, floating t, floating* slope_out) noexcept nogil:
    # C = e^y − t y, slope e^y − t
    cdef double raw = y, target = t
    cdef double mean = saturated_exponential(raw, sizeof(floating))
    slope_out[0] = <floating>(mean - target)
    return <floating>(mean - target * raw)


cdef inline floating gamma(floating y, floating t, floating* slope_out) noexcept nogil:
    # C = y + t e^−y, slope 1 − t e^−y
    cdef double raw = y, target = t
    cdef double ratio = target * saturated_exponential(-raw, sizeof(floating))
    slope_out[0] = <floating>(1 - ratio)
    return <floating>(raw + ratio)


cdef inline floating tweedie(floating y, floating t, double p, floating* slope_out) noexcept nogil:
    # C = e^((2 − p) y) / (2 − p) − t e^((1 − p) y) / (1 − p), slope e^((2 − p) y) − t e^((1 − p) y)
    cdef double raw = y, target = t
    cdef double first = saturated_exponential((2 - p) * raw, sizeof(floating))
    cdef double second = target * saturated_exponential((1 - p) * raw, sizeof(floating))
    slope_out[0] = <floating>(first - second)
    return <floating>(first / (2 - p) - second / (1 - p))


# ------------------------------------------------------------------------ targets are 0 and 1; s = 2t − 1 is −1 and +1

cdef floating log_loss_afar(floating y, floating t, floating* slope_out) noexcept nogil:
    # log_loss beyond the table, where 1 + e is 1. Hardly any y goes here: written in place, and not called, it would
    # take the registers of a block of rows
    cdef double e = exponential(-fabs(<double>y))
    cdef floating s = not_negative(y) - t
    slope_out[0] = s - <floating>copysign(e, <double>y)
    return s * y + <floating>e


cdef inline floating log_loss(floating z, floating t, Point near, floating* slope_out) noexcept nogil:
    # C = max(y, 0) − t y + log(1 + e^−|y|), slope σ(y) − t, of y = p + z. With s = [p ≥ 0] − t these are s y + H(y) and
    # s + h(y) (see logistic_curve), in which nothing cancels where a sure answer is right
    cdef floating reach = <floating>(1.0 / PER_UNIT), y = <floating>near.y + z, s, H
    if not abs(z) <= reach:                                 # another point is nearer, or y is far or not a number
        if not -SPAN <= y <= SPAN:
            return log_loss_afar(y, t, slope_out)
        near = point_near(y)
        z = y - <floating>near.y
    if floating is double:
        s = (0.5 + copysign(0.5, near.y)) - t
    else:
        s = (<floating>0.5 + copysignf(0.5, <floating>near.y)) - t
    slope_out[0] = logistic_curve(z, near.at, s, &H)
    return s * y + H


cdef inline floating hinge(floating y, floating t, floating threshold, floating* slope_out) noexcept nogil:
    # C = max(0, θ − s y), slope −s where s y ≤ θ; θ is 1, and 0 for the perceptron
    cdef floating s = t + t - <floating>1
    cdef floating short = threshold - s * y
    cdef floating active = not_negative(short)
    slope_out[0] = -s * active
    return short * active


cdef inline floating squared_hinge(floating y, floating t, floating* slope_out) noexcept nogil:
    # C = q², slope −2 s q, with q = max(0, 1 − s y)
    cdef floating s = t + t - <floating>1
    cdef floating short = <floating>1 - s * y
    cdef floating q = short * not_negative(short)
    slope_out[0] = -(s + s) * q
    return q * q


cdef inline floating modified_huber(floating y, floating t, floating* slope_out) noexcept nogil:
    # C = r (2q − r), slope −2 s r, with q = 1 − s y and r = q clipped to [0, 2]: q² inside, a straight line beyond 2
    cdef floating s = t + t - <floating>1
    cdef floating q = <floating>1 - s * y
    cdef floating side = side_of(s * y, <floating>1)
    cdef floating r = (<floating>1 - side * side) * q + (side * side - side)
    slope_out[0] = -(s + s) * r
    return r * (q + q - r)


cdef inline double share_of(const floating* t, Py_ssize_t columns, Py_ssize_t k) noexcept nogil:
    # what class k has of the target: given for each class, or all of it to the class whose index is given
    return <double>t[k] if columns != 1 else <Py_ssize_t>t[0] == k


cdef inline double cross_entropy(const floating* y, const floating* t, Py_ssize_t columns, Py_ssize_t K,
                                 floating* slope_out) noexcept nogil:
    # C = log Σ_j e^(y_j − y_top) + Σ_k t_k (y_top − y_k), slope softmax(y) − t, with y_top the largest score. Its own
    # e^0 = 1 is kept apart from the others' sum, so that neither loses digits where one class is almost sure. Loops
    # that do one thing can be vectorised.
    cdef Py_ssize_t k, top = 0
    cdef double highest, share, inverse, others = 0, value = 0
    for k in range(1, K):
        if y[k] > y[top]:
            top = k
    highest = y[top]
    for k in range(K):
        slope_out[k] = <floating>exponential(<double>y[k] - highest)
    slope_out[top] = 0
    for k in range(K):
        others += <double>slope_out[k]
    slope_out[top] = 1
    inverse = 1 / (1 + others)
    for k in range(K):
        share = share_of(t, columns, k)
        value += share * (highest - <double>y[k])
        slope_out[k] = <floating>(((<double>slope_out[k] - share) - share * others) * inverse)
    return value + (logarithm(1 + others) if others > 1 else log_of_one_plus(others))


# ------------------------------------------------------------------------------------------------------- one and a row

cdef inline floating c_function(const Loss* loss, floating y, floating t, floating* slope_out) noexcept nogil:
    # a function of the user's own
    cdef double slope = 0
    cdef double value = loss.function(<double>y, <double>t, &slope)
    slope_out[0] = <floating>slope
    return <floating>value


cdef floating other_loss(const Loss* loss, floating y, floating t, floating* slope_out) noexcept nogil:
    cdef floating parameter = <floating>loss.parameter
    if loss.code == ABSOLUTE:
        return absolute(y, t, slope_out)
    elif loss.code == HUBER:
        return huber(y, t, parameter, slope_out)
    elif loss.code == EPSILON_INSENSITIVE:
        return epsilon_insensitive(y, t, parameter, slope_out)
    elif loss.code == SQUARED_EPSILON_INSENSITIVE:
        return squared_epsilon_insensitive(y, t, parameter, slope_out)
    elif loss.code == QUANTILE:
        return quantile(y, t, parameter, slope_out)
    elif loss.code == POISSON:
        return poisson(y, t, slope_out)
    elif loss.code == GAMMA:
        return gamma(y, t, slope_out)
    elif loss.code == TWEEDIE:
        return tweedie(y, t, loss.parameter, slope_out)
    elif loss.code == PERCEPTRON:
        return hinge(y, t, parameter, slope_out)
    elif loss.code == SQUARED_HINGE:
        return squared_hinge(y, t, slope_out)
    elif loss.code == MODIFIED_HUBER:
        return modified_huber(y, t, slope_out)
    else:
        return c_function(loss, y, t, slope_out)


cdef inline Point point_of(const Loss* loss, floating y, floating t) noexcept nogil:
    # where the loss is worked out from: the target of a square, a point near y if the loss is tabulated, else 0
    cdef Point origin = [0, t if loss.code <= SQUARED_ERROR else 0]
    return point_near(y) if loss.code == LOG_LOSS else origin


cdef inline floating loss_beside(const Loss* loss, Point near, floating z, floating t,
                                 floating* slope_out) noexcept nogil:
    # the loss of y = p + z, with p = point_of a y not far from this. The most usual are written in place, so that a
    # block of rows keeps its registers; the others are called. 0·z is NaN where z is not finite, so that no flat loss
    # hides it
    cdef floating value, slope
    if loss.code <= SQUARED_ERROR:
        return half_square(z, slope_out)
    if loss.code == LOG_LOSS:
        return log_loss(z, t, near, slope_out)
    if loss.code == HINGE:
        return hinge(z, t, <floating>loss.parameter, slope_out) + <floating>0 * z
    value = other_loss(loss, z, t, &slope)
    slope_out[0] = slope                    # the caller's own stays in a register if its address is not given away
    return value + <floating>0 * z


cdef inline floating loss_of_output(const Loss* loss, floating y, floating t, floating* slope_out) noexcept nogil:
    cdef Point near = point_of(loss, y, t)
    return loss_beside(loss, near, y - <floating>near.y, t, slope_out)


cdef inline double loss_of_row(const Loss* loss, const floating* y, const floating* t, Py_ssize_t columns, Py_ssize_t K,
                               floating* slope_out) noexcept nogil:
    # Σ_k C(y_k, t_k). `columns` targets are given: K, or to cross_entropy one, the index of the class.
    cdef Py_ssize_t k
    cdef double total = 0
    if loss.code == CROSS_ENTROPY:
        return cross_entropy(y, t, columns, K, slope_out)
    for k in range(K):
        total += <double>loss_of_output(loss, y[k], t[k], &slope_out[k])
    return total * loss.scale
