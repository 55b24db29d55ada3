# ------------------------------------------------------------------------------------------------------------ lanes

cdef extern from *:
    """
    #include <stddef.h>
    #include <string.h>
    #define REAL double
    #define NAME(f) f##_f64
    #include "_lanes.h"
    #undef REAL
    #undef NAME
    #define REAL float
    #define NAME(f) f##_f32
    #include "_lanes.h"
    #undef REAL
    #undef NAME
    #if !defined(FASTGD_FLAGS)
    #define FASTGD_FLAGS "unknown"
    #endif
    #if defined(__clang__)
    #define FASTGD_COMPILER __VERSION__
    #elif defined(__GNUC__)
    #define FASTGD_COMPILER "gcc " __VERSION__
    #elif defined(_MSC_FULL_VER)
    #define FASTGD_STRING_(x) #x
    #define FASTGD_STRING(x) FASTGD_STRING_(x)
    #define FASTGD_COMPILER "MSVC " FASTGD_STRING(_MSC_FULL_VER)
    #else
    #define FASTGD_COMPILER "unknown"
    #endif
    """
    double dot_f64(const double* a, const double* b, Py_ssize_t n, double start) noexcept nogil
    float dot_f32(const float* a, const float* b, Py_ssize_t n, float start) noexcept nogil
    void add_scaled_f64(double* w, double c, const double* x, Py_ssize_t n) noexcept nogil
    void add_scaled_f32(float* w, float c, const float* x, Py_ssize_t n) noexcept nogil
    void block_sums_f64(const double* w, const double** x, Py_ssize_t n, double start, double* m, double* g,
                        const double** next) noexcept nogil
    void block_sums_f32(const float* w, const float** x, Py_ssize_t n, float start, float* m, float* g,
                        const float** next) noexcept nogil
    void add_block_f64(double* w, const double* c, const double** x, Py_ssize_t n) noexcept nogil
    void add_block_f32(float* w, const float* c, const float** x, Py_ssize_t n) noexcept nogil
    enum:
        BLOCK
        PAIRS
    const char* FASTGD_FLAGS
    const char* FASTGD_COMPILER


cdef inline floating dot(const floating* a, const floating* b, Py_ssize_t n, floating start) noexcept nogil:
    # start + Σ_j a_j b_j
    if floating is double:
        return dot_f64(a, b, n, start)
    else:
        return dot_f32(a, b, n, start)


cdef inline void add_scaled(floating* w, floating c, const floating* x, Py_ssize_t n) noexcept nogil:
    # w_j ← w_j + c x_j
    if floating is double:
        add_scaled_f64(w, c, x, n)
    else:
        add_scaled_f32(w, c, x, n)


cdef inline void block_sums(const floating* w, const floating** x, Py_ssize_t n, floating start, floating* m_out,
                            floating* g_out, const floating** next) noexcept nogil:
    # m_i = w·x_i + start and g_ik = x_i·x_k for k < i, at i (i − 1) / 2 + k; the rows `next` are asked for ahead
    if floating is double:
        block_sums_f64(w, x, n, start, m_out, g_out, next)
    else:
        block_sums_f32(w, x, n, start, m_out, g_out, next)


cdef inline void add_block(floating* w, const floating* c, const floating** x, Py_ssize_t n) noexcept nogil:
    # w_j ← w_j + Σ_i c_i x_ij
    if floating is double:
        add_block_f64(w, c, x, n)
    else:
        add_block_f32(w, c, x, n)


cdef inline bint all_finite(const floating* w, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    if not isfinite(<double>dot(w, w, n, 0)):     # squares may overflow where the numbers themselves do not
        for j in range(n):
            if not isfinite(<double>w[j]):
                return False
    return True


def build_info():
    """Return the compiler and the flags that made this build."""
    return {"compiler": FASTGD_COMPILER.decode(), "flags": FASTGD_FLAGS.decode()}


# --------------------------------------------------------------------------------------------------- the linear map

cdef struct Shape:
    Py_ssize_t d        # features
    Py_ssize_t K        # outputs
    bint bias


cdef inline void forward(const floating* params, const floating* x, Shape shape, floating* y_out) noexcept nogil:
    # y_k = W_k · x + b_k
    cdef Py_ssize_t k
    cdef const floating* b = params + shape.K * shape.d
    for k in range(shape.K):
        y_out[k] = dot(params + k * shape.d, x, shape.d, b[k] if shape.bias else 0)


cdef inline void backward(floating* target, const floating* x, floating factor, const floating* slope,
                          Shape shape) noexcept nogil:
    # target ← target + factor · ∂C/∂(W, b), where ∂C/∂W_k = slope_k x and ∂C/∂b_k = slope_k
    cdef Py_ssize_t k
    cdef floating* b = target + shape.K * shape.d
    for k in range(shape.K):
        add_scaled(target + k * shape.d, factor * slope[k], x, shape.d)
        if shape.bias:
            b[k] += factor * slope[k]


cdef Shape shape_of(Py_ssize_t parameters, Py_ssize_t d, Py_ssize_t K) noexcept:
    cdef Shape shape
    shape.d, shape.K, shape.bias = d, K, parameters > K * d
    return shape
