/* The two loops over the numbers of a sparse row. Included once for each REAL and COLUMN, with NAME(f) naming them.

   The numbers are taken one by one, because what gathers them into a register costs more than it saves. OPAQUE hides
   each column from the compiler, which would otherwise load several at once and then take them apart. */

#ifndef OPAQUE
#if defined(__GNUC__)
#define OPAQUE(integer) __asm__("" : "+r"(integer))
#else
#define OPAQUE(integer) ((void)(integer))
#endif
#if defined(__clang__)
#define UNROLL_BY_4 _Pragma("clang loop unroll_count(4)")
#elif defined(__GNUC__)
#define UNROLL_BY_4 _Pragma("GCC unroll 4")
#else
#define UNROLL_BY_4
#endif
#endif

static inline ptrdiff_t NAME(column)(const COLUMN *columns, ptrdiff_t i) {
    ptrdiff_t j = (ptrdiff_t)columns[i];
    OPAQUE(j);
    return j;
}

/* Σ_i w[columns_i] x_i in four running sums */
static inline REAL NAME(gathered_dot)(const REAL *w, const REAL *x, const COLUMN *columns, ptrdiff_t n) {
    REAL s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += w[NAME(column)(columns, i)] * x[i];
        s1 += w[NAME(column)(columns, i + 1)] * x[i + 1];
        s2 += w[NAME(column)(columns, i + 2)] * x[i + 2];
        s3 += w[NAME(column)(columns, i + 3)] * x[i + 3];
    }
    for (; i < n; i++) s0 += w[NAME(column)(columns, i)] * x[i];
    return (s0 + s2) + (s1 + s3);
}

/* w[columns_i] ← w[columns_i] + c x_i */
static inline void NAME(scatter_scaled)(REAL *w, REAL c, const REAL *x, const COLUMN *columns, ptrdiff_t n) {
    UNROLL_BY_4 for (ptrdiff_t i = 0; i < n; i++) w[NAME(column)(columns, i)] += c * x[i];
}

/* asks for the weights of the m columns of a row that comes soon */
static inline void NAME(ask_for)(const REAL *w, const COLUMN *columns, ptrdiff_t m) {
    for (ptrdiff_t i = 0; i < m; i++) PREFETCH_FAR(w + columns[i]);
}

/* both at once: waiting for the one leaves room for the other */
static inline void NAME(scatter_and_ask)(REAL *w, REAL c, const REAL *x, const COLUMN *columns, ptrdiff_t n,
                                         const COLUMN *next, ptrdiff_t m) {
    const ptrdiff_t both = n < m ? n : m;
    UNROLL_BY_4 for (ptrdiff_t i = 0; i < both; i++) {
        PREFETCH_FAR(w + next[i]);
        w[NAME(column)(columns, i)] += c * x[i];
    }
    NAME(scatter_scaled)(w, c, x + both, columns + both, n - both);
    NAME(ask_for)(w, next + both, m - both);
}
