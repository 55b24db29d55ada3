/* The two loops over the numbers of a sparse row. Included once for each REAL and COLUMN, with NAME(f) naming them.

   The numbers are loaded one by one, because an instruction that gathers them costs more than it saves. OPAQUE hides
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

#define four NAME(four)
#if defined(__GNUC__)
typedef REAL four __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#endif

static inline ptrdiff_t NAME(column)(const COLUMN *columns, ptrdiff_t i) {
    ptrdiff_t j = (ptrdiff_t)columns[i];
    OPAQUE(j);
    return j;
}

/* Σ_i w[columns_i] x_i in four running sums. The weights of the m columns `next`, of a row that comes soon, are asked
   for meanwhile: all at once they would have to queue. */
INLINED REAL NAME(gathered_dot)(const REAL *w, const REAL *x, const COLUMN *columns, ptrdiff_t n,
                                const COLUMN *next, ptrdiff_t m) {
    ptrdiff_t i = 0;
#if defined(__GNUC__)
    four s = {0};
    for (; i + 4 <= n; i += 4) {
        const four gathered = {w[NAME(column)(columns, i)], w[NAME(column)(columns, i + 1)],
                               w[NAME(column)(columns, i + 2)], w[NAME(column)(columns, i + 3)]};
        s += gathered * *(const four *)(x + i);
        if (i + 4 <= m)
            for (int k = 0; k < 4; k++) PREFETCH_FAR(w + next[i + k]);
    }
    for (ptrdiff_t k = m < i ? m & ~3 : i; k < m; k++) PREFETCH_FAR(w + next[k]);
#else
    REAL s[4] = {0};
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) s[k] += w[NAME(column)(columns, i + k)] * x[i + k];
#endif
    REAL s0 = s[0];
    for (; i < n; i++) s0 += w[NAME(column)(columns, i)] * x[i];
    return (s0 + s[2]) + (s[1] + s[3]);
}

/* w[columns_i] ← w[columns_i] + c x_i. The compiler is not told that `out` is w: it would compute addresses apart. */
INLINED void NAME(scatter_scaled)(REAL *w, REAL c, const REAL *x, const COLUMN *columns, ptrdiff_t n) {
    REAL *out = w;
    OPAQUE(out);
    UNROLL_BY_4 for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t j = NAME(column)(columns, i);
        out[j] = w[j] + c * x[i];
    }
}

#undef four
