# ---------------------------------------------------------------------------------------- exponentials and logarithms
# Our own, because libm's differ from machine to machine in the last bit. All are within 2 units in the last place, and
# what is not a number stays so.

from libc.stdint cimport uint64_t

cdef union Bits:
    double number
    uint64_t bits


cdef union SingleBits:
    float number
    uint32_t bits


cdef inline double split_exponential(double x, double tail, double* power_out) noexcept nogil:
    # e^(x + tail) = 2^k (1 + p) with k = round(x / ln 2): returns p = e^r − 1 by its Taylor series, |r| ≤ ln 2 / 2, and
    # writes 2^k. For −708 ≤ x ≤ 709 and a tail that is small beside 1; there is no branch, so that loops stay straight.
    cdef Bits shifted, power
    cdef double k, r, z, zz, low, middle, high
    shifted.number = x * 1.4426950408889634 + 6755399441055744.0       # 1.5 · 2^52 + k: its last bits are k
    k = shifted.number - 6755399441055744.0
    r = (x - k * 0.693147180369123816490) - (k * 1.90821492927058770002e-10 - tail)     # ln 2 in two parts
    power.bits = (shifted.bits + 1023) << 52
    power_out[0] = power.number
    z = r * r                                       # by pairs, and pairs of pairs: what is short waits less
    zz = z * z
    low = (1.0 / 2 + r * (1.0 / 6)) + z * (1.0 / 24 + r * (1.0 / 120))
    middle = (1.0 / 720 + r * (1.0 / 5040)) + z * (1.0 / 40320 + r * (1.0 / 362880))
    high = (1.0 / 3628800 + r * (1.0 / 39916800)) + z * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0))
    return r + z * ((low + zz * middle) + (zz * zz) * high)


cdef inline double exponential(double x) noexcept nogil:
    # e^x for x ≤ 709; 0 below −708
    cdef double power, p = split_exponential(x, 0, &power)
    return 0 if x < -708 else power + power * p


cdef inline double expm1_of_negative(double x) noexcept nogil:
    # e^x − 1 for x ≤ 0, small x keep their digits
    cdef double power, p = split_exponential(x, 0, &power)
    return -1 if x < -708 else power * p + (power - 1)


cdef inline double log_of_one_plus(double f) noexcept nogil:
    # log(1 + f) for √½ ≤ 1 + f ≤ 2: 2 atanh(s) with s = f / (2 + f), written as f − s (f − …), which rounds less
    cdef double s = f / (2 + f), z = s * s, zz = z * z, zzzz = zz * zz, low, middle, high, top
    low = (2.0 / 3 + z * (2.0 / 5)) + zz * (2.0 / 7 + z * (2.0 / 9))
    middle = (2.0 / 11 + z * (2.0 / 13)) + zz * (2.0 / 15 + z * (2.0 / 17))
    high = (2.0 / 19 + z * (2.0 / 21)) + zz * (2.0 / 23 + z * (2.0 / 25))
    top = (2.0 / 27 + z * (2.0 / 29)) + zz * (2.0 / 31 + z * (2.0 / 33))
    return f - s * (f - z * ((low + zzzz * middle) + (zzzz * zzzz) * (high + zzzz * top)))


cdef inline double mantissa(double x, double* k_out) noexcept nogil:
    # x = 2^k m for x > 0 that is not subnormal: returns m, √½ ≤ m ≤ √2
    cdef Bits of
    cdef int64_t k
    of.number = x
    of.bits += 0x95F619980C433ULL                    # from √½ · 2^(k+1) on the exponent is one more
    k = <int64_t>(of.bits >> 52) - 1023
    of.number = x
    of.bits -= <uint64_t>k << 52
    k_out[0] = <double>k
    return of.number


cdef inline double logarithm(double x) noexcept nogil:
    # log x for x > 0 that is not subnormal
    cdef double k, m = mantissa(x, &k)
    return k * 0.693147180369123816490 + (log_of_one_plus(m - 1) + k * 1.90821492927058770002e-10)


cdef inline double upper(double x) noexcept nogil:
    # x without its last 27 bits: products of two such numbers are exact
    cdef Bits of
    of.number = x
    of.bits &= ~(((<uint64_t>1) << 27) - 1)
    return of.number


cdef double power(double x, double y) noexcept nogil:
    # x^y for x > 0 that is not subnormal, but never above e^708; 0 below e^−708. The logarithm is kept in two parts,
    # log x = whole + left, and so is its product with y, because what is lost there grows with the size of y log x.
    cdef double k, m = mantissa(x, &k), f = m - 1
    cdef double divisor = (m + 1073741824.0 - 1073741824.0) + 1                  # 1 + m to a multiple of 2^−22
    cdef double s = f / (m + 1)
    cdef double s_high = s + 6291456.0 - 6291456.0                               # to a multiple of 2^−30
    cdef double s_low = ((f - s_high * divisor) - s_high * (m - (divisor - 1))) / (m + 1)
    cdef double z = s * s, series, high, low, whole, left, y_high = upper(y), product, rest, scale, p
    series = 2.0 / 15 + z * (2.0 / 17 + z * (2.0 / 19 + z * (2.0 / 21)))
    series = 2.0 / 9 + z * (2.0 / 11 + z * (2.0 / 13 + z * series))
    series = 2.0 / 3 + z * (2.0 / 5 + z * (2.0 / 7 + z * series))
    high = k * 0.693147180369123816490 + 2 * s_high                              # exact
    low = k * 1.90821492927058770002e-10 + (2 * s_low + s * z * series)
    whole = high + low
    left = (high - whole) + low
    product = y_high * upper(whole)                                              # exact
    rest = y_high * (whole - upper(whole)) + ((y - y_high) * whole + y * left)
    if product > 708:
        product = 708
        rest = 0
    p = split_exponential(product, rest, &scale)
    return 0 if product < -708 else scale + scale * p


# ------------------------------------------------------------------------------------------------------ logistic curve
# h(y) = σ(y) − [p ≥ 0], and H(y) = log(1 + e^∓y) for p ≥ 0 and p < 0, whose slope it is, by polynomials about a
# point p near y. A sample's step waits for h, and this is a third of the chain of an exponential and a division: the
# point may be chosen before y is known to the last, so that the step waits for the polynomial alone. On either side h
# keeps its digits where it is almost 0.

cdef enum:
    PER_UNIT = 16                           # |y − p| ≤ 1 / PER_UNIT: two points are near enough, if one is nearer
    TERMS = 8                               # in double, off by 3e-16 of h at most
    TERMS_SINGLE = 4                        # by 8e-8
    TAYLOR_TERMS = 12                       # of which these are made: see economize. More would change nothing
    SPAN = 63                               # few go beyond it, because weights hardly keep e^−|y|
    MIDDLE = PER_UNIT * SPAN                # the point 0
    POINTS = 2 * MIDDLE + 1

cdef double[POINTS * TERMS * 2] curves      # about each point the terms of h, and then those of H
cdef float[POINTS * TERMS_SINGLE * 2] curves_single


cdef struct Point:
    Py_ssize_t at                           # its number
    double y


cdef void economize(double* c, int taken, int terms) noexcept:
    # Σ_n c_n zⁿ of n < taken by fewer terms (Lanczos 1938): from the last on each is left out with its multiple of
    # rⁿ T_n(z / r) / 2ⁿ⁻¹ = zⁿ + …, T_n of Chebyshev, which for |z| ≤ r = 1 / PER_UNIT is rⁿ / 2ⁿ⁻¹ at most
    cdef int n, k
    cdef double term
    for n in range(taken - 1, terms - 1, -1):
        term = c[n]
        for k in range(n, -1, -2):
            c[k] -= term
            term *= -<double>(k * (k - 1)) / <double>((n - k + 2) * (n + k - 2) * PER_UNIT * PER_UNIT)


cdef void tabulate_curves() noexcept:
    # h′ = σ (1 − σ) is −h − h² right of 0, else h − h²; hence (n + 1) c_{n+1} = ∓c_n − Σ_i c_i c_{n−i}, and H′ = h
    cdef Py_ssize_t k, n, i
    cdef double e, change, side
    cdef double[TAYLOR_TERMS] h
    cdef double[TAYLOR_TERMS] H
    for k in range(POINTS):
        side = 1 if k >= MIDDLE else -1
        e = exponential(-side * <double>(k - MIDDLE) / PER_UNIT)
        h[0], H[0] = -side * e / (1 + e), log_of_one_plus(e)
        for n in range(TAYLOR_TERMS - 1):
            change = -side * h[n]
            for i in range(n + 1):
                change -= h[i] * h[n - i]
            h[n + 1], H[n + 1] = change / (n + 1), h[n] / (n + 1)
        economize(h, TAYLOR_TERMS, TERMS)
        economize(H, TAYLOR_TERMS, TERMS)
        memcpy(curves + 2 * k * TERMS, h, TERMS * sizeof(double))
        memcpy(curves + (2 * k + 1) * TERMS, H, TERMS * sizeof(double))
        economize(h, TERMS, TERMS_SINGLE)
        economize(H, TERMS, TERMS_SINGLE)
        for n in range(TERMS_SINGLE):
            curves_single[2 * k * TERMS_SINGLE + n] = <float>h[n]
            curves_single[(2 * k + 1) * TERMS_SINGLE + n] = <float>H[n]


tabulate_curves()


cdef inline Point point_near(floating y) noexcept nogil:
    # the nearest to y; 0 where y is beyond them all, or not a number. The last bit of what is shifted is 1 / PER_UNIT
    cdef double first = 6755399441055744.0 / PER_UNIT, shift = first + SPAN             # 1.5 · 2^52, and 1.5 · 2^23
    cdef float first_single = <float>(12582912.0 / PER_UNIT), shift_single = first_single + SPAN
    cdef Bits shifted, start
    cdef SingleBits shifted_single, start_single
    cdef Point point
    if floating is double:
        shifted.number, start.number = y + shift, first
        point.at, point.y = <Py_ssize_t>(shifted.bits - start.bits), shifted.number - shift
    else:
        shifted_single.number, start_single.number = y + shift_single, first_single
        point.at = <Py_ssize_t>(shifted_single.bits - start_single.bits)
        point.y = shifted_single.number - shift_single
    if not 0 <= point.at < POINTS:
        point.at, point.y = MIDDLE, 0
    return point


cdef inline floating logistic_curve(floating z, Py_ssize_t at, floating start, floating* integral_out) noexcept nogil:
    # start + h(p + z), which is waited for, and then H(p + z), for |z| ≤ 1 / PER_UNIT
    cdef const double* c = curves + at * TERMS * 2
    cdef const float* single = curves_single + at * TERMS_SINGLE * 2
    cdef floating h
    if floating is double:
        h = series_f64(z, start + c[0], c, TERMS)
        integral_out[0] = series_f64(z, c[TERMS], c + TERMS, TERMS)
    else:
        h = series_f32(z, start + single[0], single, TERMS_SINGLE)
        integral_out[0] = series_f32(z, single[TERMS_SINGLE], single + TERMS_SINGLE, TERMS_SINGLE)
    return h
