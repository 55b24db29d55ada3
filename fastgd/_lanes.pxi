# ------------------------------------------------------------------------------------------------------------ lanes

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #define REAL double
    #define NAME(f) f##_f64
    #include "_lanes.h"
    #undef NAME
    #define COLUMN int32_t
    #define NAME(f) f##_f64_i32
    #include "_gather.h"
    #undef COLUMN
    #undef NAME
    #define COLUMN int64_t
    #define NAME(f) f##_f64_i64
    #include "_gather.h"
    #undef COLUMN
    #undef NAME
    #undef REAL
    #define REAL float
    #define NAME(f) f##_f32
    #include "_lanes.h"
    #undef NAME
    #define COLUMN int32_t
    #define NAME(f) f##_f32_i32
    #include "_gather.h"
    #undef COLUMN
    #undef NAME
    #define COLUMN int64_t
    #define NAME(f) f##_f32_i64
    #include "_gather.h"
    #undef COLUMN
    #undef NAME
    #undef REAL
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
    double short_dot_f64(const double* a, const double* b, Py_ssize_t n, double start) noexcept nogil
    float short_dot_f32(const float* a, const float* b, Py_ssize_t n, float start) noexcept nogil
    void weighted_rows_f64(const double* w, const double* c, Py_ssize_t m, Py_ssize_t n, double* out) noexcept nogil
    void weighted_rows_f32(const float* w, const float* c, Py_ssize_t m, Py_ssize_t n, float* out) noexcept nogil
    double narrow_dot_f64(const double* w, const double* x, Py_ssize_t n, double start) noexcept nogil
    float narrow_dot_f32(const float* w, const float* x, Py_ssize_t n, float start) noexcept nogil
    double series_f64(double z, double first, const double* c, int terms) noexcept nogil
    float series_f32(float z, float first, const float* c, int terms) noexcept nogil
    void add_to_rows_f64(double* w, const double* c, double factor, const double* x, Py_ssize_t m,
                         Py_ssize_t n) noexcept nogil
    void add_to_rows_f32(float* w, const float* c, float factor, const float* x, Py_ssize_t m,
                         Py_ssize_t n) noexcept nogil
    double square_f64(const double* x, Py_ssize_t n) noexcept nogil
    double square_f32(const float* x, Py_ssize_t n) noexcept nogil
    double not_negative_f64(double x) noexcept nogil
    float not_negative_f32(float x) noexcept nogil
    double rounded_f64(double product) noexcept nogil
    float rounded_f32(float product) noexcept nogil
    void add_scaled_f64(double* w, double c, const double* x, Py_ssize_t n) noexcept nogil
    void add_scaled_f32(float* w, float c, const float* x, Py_ssize_t n) noexcept nogil
    void block_products_f64(const double** x, Py_ssize_t n, double* g) noexcept nogil
    void block_products_f32(const float** x, Py_ssize_t n, float* g) noexcept nogil
    void move_and_sum_f64(double* w, const double* c, const double** z, const double** x, Py_ssize_t n, double* m,
                          double* g, bint early, const char** near, const char** far, int blocks,
                          Py_ssize_t stride) noexcept nogil
    void move_and_sum_f32(float* w, const float* c, const float** z, const float** x, Py_ssize_t n, float* m, float* g,
                          bint early, const char** near, const char** far, int blocks,
                          Py_ssize_t stride) noexcept nogil
    double row_sweep_f64(double* w, double c, const double* x, const double* next, Py_ssize_t n,
                         Py_ssize_t ahead, bint wide) noexcept nogil
    float row_sweep_f32(float* w, float c, const float* x, const float* next, Py_ssize_t n,
                        Py_ssize_t ahead, bint wide) noexcept nogil
    double add_then_dot_f64(double* w, double c, const double* x, const double* next, Py_ssize_t n,
                            Py_ssize_t behind, Py_ssize_t near, Py_ssize_t far) noexcept nogil
    float add_then_dot_f32(float* w, float c, const float* x, const float* next, Py_ssize_t n,
                           Py_ssize_t behind, Py_ssize_t near, Py_ssize_t far) noexcept nogil
    void block_dots_f64(const double* w, const double* v, const double** x, Py_ssize_t n, double* m,
                        double* q) noexcept nogil
    void block_dots_f32(const float* w, const float* v, const float** x, Py_ssize_t n, float* m,
                        float* q) noexcept nogil
    void add_block_to_two_f64(double* w, double* v, double keep_w, double keep_v, const double* c, const double* e,
                              const double** x, Py_ssize_t n) noexcept nogil
    void add_block_to_two_f32(float* w, float* v, float keep_w, float keep_v, const float* c, const float* e,
                              const float** x, Py_ssize_t n) noexcept nogil
    const int SHORT_ROW_BYTES
    Py_ssize_t short_steps_f64(Py_ssize_t d, double* w, double rate, bint bias, const double* X, const double* T,
                               Py_ssize_t stride, const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                               Py_ssize_t ahead, double* squares) noexcept nogil
    Py_ssize_t short_steps_f32(Py_ssize_t d, float* w, float rate, bint bias, const float* X, const float* T,
                               Py_ssize_t stride, const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                               Py_ssize_t ahead, double* squares) noexcept nogil
    bint between_parts_f64(const double* x, Py_ssize_t n) noexcept nogil
    bint between_parts_f32(const float* x, Py_ssize_t n) noexcept nogil
    void add_rows_f64(double* w, const double* c, const double** x, Py_ssize_t count, Py_ssize_t n) noexcept nogil
    void add_rows_f32(float* w, const float* c, const float** x, Py_ssize_t count, Py_ssize_t n) noexcept nogil
    void add_block_f64(double* w, double keep, const double* c, const double** x, Py_ssize_t n) noexcept nogil
    void add_block_f32(float* w, float keep, const float* c, const float** x, Py_ssize_t n) noexcept nogil
    void move_few_units_f64(double* v, double* u, const double* slope, const double* x, const double* next, double g,
                            double kappa, Py_ssize_t d, Py_ssize_t m, Py_ssize_t K, double* z, double* y,
                            double* flaw) noexcept nogil
    void move_few_units_f32(float* v, float* u, const float* slope, const float* x, const float* next, float g,
                            float kappa, Py_ssize_t d, Py_ssize_t m, Py_ssize_t K, float* z, float* y,
                            float* flaw) noexcept nogil
    double gathered_dot_f64_i32(const double* w, const double* x, const int32_t* columns, Py_ssize_t n,
                                const int32_t* next, Py_ssize_t m) noexcept nogil
    double gathered_dot_f64_i64(const double* w, const double* x, const int64_t* columns, Py_ssize_t n,
                                const int64_t* next, Py_ssize_t m) noexcept nogil
    float gathered_dot_f32_i32(const float* w, const float* x, const int32_t* columns, Py_ssize_t n,
                               const int32_t* next, Py_ssize_t m) noexcept nogil
    float gathered_dot_f32_i64(const float* w, const float* x, const int64_t* columns, Py_ssize_t n,
                               const int64_t* next, Py_ssize_t m) noexcept nogil
    void scatter_scaled_f64_i32(double* w, double c, const double* x, const int32_t* columns,
                                Py_ssize_t n) noexcept nogil
    void scatter_scaled_f64_i64(double* w, double c, const double* x, const int64_t* columns,
                                Py_ssize_t n) noexcept nogil
    void scatter_scaled_f32_i32(float* w, float c, const float* x, const int32_t* columns, Py_ssize_t n) noexcept nogil
    void scatter_scaled_f32_i64(float* w, float c, const float* x, const int64_t* columns, Py_ssize_t n) noexcept nogil
    void PREFETCH(const void* address) noexcept nogil
    void PREFETCH_FAR(const void* address) noexcept nogil
    void KEEP_BRANCH() noexcept nogil
    enum:
        TOGETHER
        TOGETHER_PAIRS
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


cdef inline floating short_dot(const floating* a, const floating* b, Py_ssize_t n, floating start) noexcept nogil:
    # start + Σ_j a_j b_j for few numbers, written just before
    if floating is double:
        return short_dot_f64(a, b, n, start)
    else:
        return short_dot_f32(a, b, n, start)


cdef inline void weighted_rows(const floating* w, const floating* c, Py_ssize_t m, Py_ssize_t n,
                               floating* y_out) noexcept nogil:
    # y_j = Σ_k c_k w_kj
    if floating is double:
        weighted_rows_f64(w, c, m, n, y_out)
    else:
        weighted_rows_f32(w, c, m, n, y_out)


cdef inline bint narrow(Py_ssize_t n, const floating* kind) noexcept nogil:
    return n * <Py_ssize_t>sizeof(floating) < 32


cdef inline floating narrow_dot(const floating* w, const floating* x, Py_ssize_t n, floating start) noexcept nogil:
    # start + w · x for a narrow w
    if floating is double:
        return narrow_dot_f64(w, x, n, start)
    else:
        return narrow_dot_f32(w, x, n, start)


cdef inline void add_to_rows(floating* w, const floating* c, floating factor, const floating* x, Py_ssize_t m,
                             Py_ssize_t n) noexcept nogil:
    # w_k ← w_k + factor c_k x for the short rows of w
    if floating is double:
        add_to_rows_f64(w, c, factor, x, m, n)
    else:
        add_to_rows_f32(w, c, factor, x, m, n)


cdef inline floating not_negative(floating x) noexcept nogil:
    # 1 where x ≥ 0, else 0
    if floating is double:
        return not_negative_f64(x)
    else:
        return not_negative_f32(x)


cdef inline floating rounded(floating product) noexcept nogil:
    if floating is double:
        return rounded_f64(product)
    else:
        return rounded_f32(product)


cdef inline void add_scaled(floating* w, floating c, const floating* x, Py_ssize_t n) noexcept nogil:
    # w_j ← w_j + c x_j
    if floating is double:
        add_scaled_f64(w, c, x, n)
    else:
        add_scaled_f32(w, c, x, n)


cdef inline void block_products(const floating** x, Py_ssize_t n, floating* g_out) noexcept nogil:
    # g_ik = x_i·x_k for k < i, at i (i − 1) / 2 + k
    if floating is double:
        block_products_f64(x, n, g_out)
    else:
        block_products_f32(x, n, g_out)


cdef inline void move_and_sum(floating* w, const floating* c, const floating** z, const floating** x, Py_ssize_t n,
                              floating* m_out, floating* g_out, bint early, const char** near, const char** far,
                              int blocks, Py_ssize_t stride) noexcept nogil:
    # w ← w + Σ_i c_i z_i, then m_i = w·x_i and g_ik = x_i·x_k, while other rows are asked for. To an `early` m_0 there
    # is still to be added the last c_i times the last of g
    if floating is double:
        move_and_sum_f64(w, c, z, x, n, m_out, g_out, early, near, far, blocks, stride)
    else:
        move_and_sum_f32(w, c, z, x, n, m_out, g_out, early, near, far, blocks, stride)


cdef inline floating row_sweep(floating* w, floating c, const floating* x, const floating* next,
                               Py_ssize_t n, Py_ssize_t ahead, bint wide) noexcept nogil:
    # w ← w + c x, and of these weights w·next, by registers of 64 bytes if `wide`, while what stands `ahead` bytes
    # behind `next` may be asked for
    if floating is double:
        return row_sweep_f64(w, c, x, next, n, ahead, wide)
    else:
        return row_sweep_f32(w, c, x, next, n, ahead, wide)


cdef inline floating add_then_dot(floating* w, floating c, const floating* x, const floating* next, Py_ssize_t n,
                                  Py_ssize_t behind, Py_ssize_t near, Py_ssize_t far) noexcept nogil:
    # the same in two passes, while the row behind x may be asked for, and what stands so many bytes behind `next`
    if floating is double:
        return add_then_dot_f64(w, c, x, next, n, behind, near, far)
    else:
        return add_then_dot_f32(w, c, x, next, n, behind, near, far)


cdef inline void block_dots(const floating* w, const floating* v, const floating** x, Py_ssize_t n, floating* m_out,
                            floating* q_out) noexcept nogil:
    # m_i = w·x_i and q_i = v·x_i
    if floating is double:
        block_dots_f64(w, v, x, n, m_out, q_out)
    else:
        block_dots_f32(w, v, x, n, m_out, q_out)


cdef inline void add_block_to_two(floating* w, floating* v, floating keep_w, floating keep_v, const floating* c,
                                  const floating* e, const floating** x, Py_ssize_t n) noexcept nogil:
    # w ← keep_w · w + Σ_i c_i x_i and v ← keep_v · v + Σ_i e_i x_i
    if floating is double:
        add_block_to_two_f64(w, v, keep_w, keep_v, c, e, x, n)
    else:
        add_block_to_two_f32(w, v, keep_w, keep_v, c, e, x, n)


cdef inline Py_ssize_t short_steps(Py_ssize_t d, floating* w, floating rate, bint bias, const floating* X,
                                   const floating* T, Py_ssize_t stride, const int64_t* order, Py_ssize_t start,
                                   Py_ssize_t stop, Py_ssize_t ahead, double* squares) noexcept nogil:
    # steps by a = rate · (w·x + b − t) over rows of at most 32 bytes, four at once, while what stands `ahead` bytes
    # behind them is asked for; adds Σ a² to the squares and returns the place that it reached: fewer than four rows are
    # left, or all if the compiler has no vectors
    if floating is double:
        return short_steps_f64(d, w, rate, bias, X, T, stride, order, start, stop, ahead, squares)
    else:
        return short_steps_f32(d, w, rate, bias, X, T, stride, order, start, stop, ahead, squares)


cdef inline bint between_parts(const floating* x, Py_ssize_t n) noexcept nogil:
    # whether rows of n numbers begin half a part from where loads are aligned
    if floating is double:
        return between_parts_f64(x, n)
    else:
        return between_parts_f32(x, n)


cdef inline void add_rows(floating* w, const floating* c, const floating** x, Py_ssize_t count,
                          Py_ssize_t n) noexcept nogil:
    # w ← w + Σ_i c_i x_i over `count` rows, at most 2 · BLOCK
    if floating is double:
        add_rows_f64(w, c, x, count, n)
    else:
        add_rows_f32(w, c, x, count, n)


cdef inline void add_block(floating* w, floating keep, const floating* c, const floating** x,
                           Py_ssize_t n) noexcept nogil:
    # w_j ← keep · w_j + Σ_i c_i x_ij
    if floating is double:
        add_block_f64(w, keep, c, x, n)
    else:
        add_block_f32(w, keep, c, x, n)


cdef inline double sum_of_squares(const floating* x, Py_ssize_t n) noexcept nogil:
    # Σ_j x_j² in double
    if floating is double:
        return square_f64(x, n)
    else:
        return square_f32(x, n)


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
