/* Loops over features that move the weights of one output by some rows and multiply them with the next, in one pass. As
   in _lanes.h, which includes this, the order of every addition is written here. */

#ifndef TOGETHER_PAIRS
enum { TOGETHER = 3 }; /* of four, not all sums stay in the sixteen registers */
#define TOGETHER_PAIRS (TOGETHER * (TOGETHER - 1) / 2)

/* Asks for what is `on` bytes further than each address, into the first level of cache, and of so many blocks into the
   second. A Zen 4 that waits for many lines drops some of what it is asked for: two blocks are asked for twice. */
INLINED void ask_ahead(const char *const *near, const char *const *far, int blocks, ptrdiff_t on) {
    UNROLL for (int i = 0; i < TOGETHER && near; i++) PREFETCH(near[i] + on);
    UNROLL for (int i = 0; i < blocks * TOGETHER; i++) {
        PREFETCH_FAR(far[i] + on);
        if (blocks > 1) PREFETCH_FAR(far[i] + on);
    }
}
#if defined(__GNUC__) && defined(__FMA__) /* AVX-512 fuses products with sums */
#define WIDE __attribute__((target("avx512f")))
#endif
#endif

/* Over one part of the lanes: w ← w + Σ_i c_i z_i, and of these weights m_i += w·x_i, and g_ik += x_i·x_k for k < i. An
   `early` first product does without the last c_i z_i, and is owed c_i times *late += z_i·x_0. */
INLINED void NAME(move_and_sum_part)(REAL *w, const REAL *c, const REAL *const *z, const REAL *const *x, ptrdiff_t j,
                                     part *m, part *g, int early, part *late) {
    part v = *(part *)(w + j), xs[TOGETHER], last = *(const part *)(z[TOGETHER - 1] + j);
    UNROLL for (int i = 0; i < TOGETHER; i++) {
        xs[i] = *(const part *)(x[i] + j);
        IN_REGISTER(xs[i]);
    }
    UNROLL for (int i = 0; i < TOGETHER - 1; i++) v += c[i] * *(const part *)(z[i] + j);
    if (early) m[0] += v * xs[0], *late += last * xs[0];
    v += c[TOGETHER - 1] * last;
    *(part *)(w + j) = v;
    UNROLL for (int i = 0; i < TOGETHER; i++) {
        if (i || !early) m[i] += v * xs[i];
        UNROLL for (int k = 0; k < i; k++) g[i * (i - 1) / 2 + k] += xs[i] * xs[k];
    }
}

/* Whether rows of n numbers all begin in the middle of what a part is aligned to, as those of a large array of NumPy's
   do: then the first half of a part is taken by itself, and the others are aligned. In rows of two lines it costs more
   than it saves. */
INLINED int NAME(between_parts)(const REAL *x, ptrdiff_t n) {
    return PER == LANES && n > 4 * LANES && n % LANES == 0 && (size_t)x % 32 == 16;
}

/* the product of two halves as the upper one of a part */
INLINED part NAME(upper_product)(const REAL *a, const REAL *b) {
#if defined(__GNUC__) && defined(__AVX__)
    typedef double two __attribute__((vector_size(16)));
    typedef double pairs __attribute__((vector_size(32)));
    const two product = (two)(*(const half *)a * *(const half *)b);
    return (part)(pairs){0, 0, product[0], product[1]};
#else
    return (part){0};
#endif
}

/* w ← w + Σ_i c_i z_i, then m_i = w·x_i and g_ik = x_i·x_k for k < i, at g[i (i − 1) / 2 + k]: one pass over all rows
   and the weights. Each part of the lanes has its turn, so that all sums stay in registers. What comes later is asked
   for at TOGETHER addresses, and again `stride` bytes on for each 64 bytes of a row and what is left of it: into the
   first level of cache where `near` says, unless it is NULL, and into the second where `far` does, of so many `blocks`.
   Where all begins between parts `half_first` makes the same sums of aligned ones. An `early` m_0, which need not wait
   for the last c_i, is owed c_i times what is then the last of g. */
INLINED void NAME(move_and_sum_asking)(REAL *w, const REAL *c_given, const REAL *const *z_given,
                                       const REAL *const *x_given, ptrdiff_t n, REAL *m, REAL *g, int early,
                                       const char *const *near_given, const char *const *far_given, int blocks,
                                       ptrdiff_t stride, int half_first) {
    ptrdiff_t j = 0;
    lanes M[TOGETHER], G[TOGETHER_PAIRS], late = {{{0}}};
    REAL c[TOGETHER]; /* copies that nothing written to w could change */
    const REAL *x[TOGETHER], *z[TOGETHER];
    const char *near[TOGETHER], *far[2 * TOGETHER];
    UNROLL for (int i = 0; i < TOGETHER; i++) {
        c[i] = c_given[i], x[i] = x_given[i], z[i] = z_given[i];
        if (near_given) near[i] = near_given[i];
    }
    UNROLL for (int i = 0; i < blocks * TOGETHER; i++) far[i] = far_given[i];
    if (half_first) NAME(add_half)(w, 1, c, z, TOGETHER, 0);
    for (ptrdiff_t p = 0; p < LANES; p += PER) {
        part a[TOGETHER], b[TOGETHER_PAIRS], owed = {0};
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            a[i] = half_first ? NAME(upper_product)(w, x[i]) : (part){0};
            UNROLL for (int k = 0; k < i; k++)
                b[i * (i - 1) / 2 + k] = half_first ? NAME(upper_product)(x[i], x[k]) : (part){0};
        }
        for (j = half_first ? LANES / 2 : 0; j + 2 * LANES <= n; j += 2 * LANES) {
            if (!p) ask_ahead(near_given ? near : NULL, far, blocks, j / (2 * LANES) * stride);
            NAME(move_and_sum_part)(w, c, z, x, j + p, a, b, early, &owed);
            NAME(move_and_sum_part)(w, c, z, x, j + LANES + p, a, b, early, &owed);
        }
        if (!p && j < n) ask_ahead(near_given ? near : NULL, far, blocks, j / (2 * LANES) * stride);
        if (j + LANES <= n) NAME(move_and_sum_part)(w, c, z, x, j + p, a, b, early, &owed), j += LANES;
        UNROLL for (int i = 0; i < TOGETHER; i++) M[i].p[p / PER] = a[i];
        UNROLL for (int i = 0; i < TOGETHER_PAIRS; i++) G[i].p[p / PER] = b[i];
        late.p[p / PER] = owed;
    }
    const ptrdiff_t half_more = n - j >= LANES / 2, rest = j + LANES / 2 * half_more;
    half ends[TOGETHER + TOGETHER_PAIRS];
    REAL sums[TOGETHER + TOGETHER_PAIRS];
    if (half_more) NAME(add_half)(w, 1, c, z, TOGETHER, j);
    UNROLL for (int i = 0; i < TOGETHER; i++) {
        ends[i] = NAME(fold_joining)(M[i], half_more ? w + j : NULL, x[i] + j, half_first);
        UNROLL for (int k = 0; k < i; k++)
            ends[TOGETHER + i * (i - 1) / 2 + k] =
                NAME(fold_joining)(G[i * (i - 1) / 2 + k], half_more ? x[i] + j : NULL, x[k] + j, half_first);
    }
    NAME(add_up_four)(ends, sums);
    UNROLL for (int i = 4; i < TOGETHER + TOGETHER_PAIRS; i++) sums[i] = NAME(add_up)(ends[i]);
    for (j = rest; j < n; j++) {
        UNROLL for (int i = 0; i < TOGETHER; i++) w[j] += c[i] * z[i][j];
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            sums[i] += w[j] * x[i][j];
            UNROLL for (int k = 0; k < i; k++) sums[TOGETHER + i * (i - 1) / 2 + k] += x[i][j] * x[k][j];
        }
    }
    UNROLL for (int i = 0; i < TOGETHER; i++) m[i] = sums[i];
    UNROLL for (int i = 0; i < TOGETHER_PAIRS; i++) g[i] = sums[TOGETHER + i];
    if (early) g[TOGETHER_PAIRS] = NAME(halve)(late);
}

/* the same as the compiler makes it for what is asked for; half first only where rows come from afar */
INLINED void NAME(move_and_sum_of)(REAL *w, const REAL *c, const REAL *const *z, const REAL *const *x, ptrdiff_t n,
                                   REAL *m, REAL *g, int early, const char *const *near, const char *const *far,
                                   int blocks, ptrdiff_t stride, int half_first) {
    if (!half_first && !near)
        NAME(move_and_sum_asking)(w, c, z, x, n, m, g, early, NULL, NULL, 0, 0, 0);
    else if (!half_first && blocks == 0)
        NAME(move_and_sum_asking)(w, c, z, x, n, m, g, early, near, NULL, 0, stride, 0);
    else if (blocks == 1)
        NAME(move_and_sum_asking)(w, c, z, x, n, m, g, early, near, far, 1, stride, half_first);
    else
        NAME(move_and_sum_asking)(w, c, z, x, n, m, g, early, near, far, 2, stride, half_first);
}

/* An early m_0 is for rows as long as one, two or four `lanes`, which the compiler knows then, and makes neither loops
   nor ends of them: in longer ones one sum more would not stay in a register. */
INLINED void NAME(move_and_sum)(REAL *w, const REAL *c, const REAL *const *z, const REAL *const *x, ptrdiff_t n,
                                REAL *m, REAL *g, int early, const char *const *near, const char *const *far, int blocks,
                                ptrdiff_t stride) {
    g[TOGETHER_PAIRS] = 0;
    if (early && n == LANES)
        NAME(move_and_sum_of)(w, c, z, x, LANES, m, g, 1, near, far, blocks, stride, 0);
    else if (early && n == 2 * LANES)
        NAME(move_and_sum_of)(w, c, z, x, 2 * LANES, m, g, 1, near, far, blocks, stride, 0);
    else if (early && n == 4 * LANES)
        NAME(move_and_sum_of)(w, c, z, x, 4 * LANES, m, g, 1, near, far, blocks, stride, 0);
    else if (blocks > 0 && NAME(between_parts)(x[0], n) && NAME(between_parts)(w, n))
        NAME(move_and_sum_of)(w, c, z, x, n, m, g, 0, near, far, blocks, stride, 1);
    else
        NAME(move_and_sum_of)(w, c, z, x, n, m, g, 0, near, far, blocks, stride, 0);
}

#define VECTOR part
#define SWEEP NAME(sweep)
#define TARGET INLINED
#include "_row_sweep.h"
#if defined(WIDE)
typedef REAL NAME(wide) __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));
#define VECTOR NAME(wide)
#define SWEEP NAME(wide_sweep)
#define TARGET static WIDE
#include "_row_sweep.h"
#endif

/* w ← w + c x, and of these weights w·next, where `wide` by registers of 64 bytes; see _row_sweep.h for `ahead` */
static inline REAL NAME(row_sweep)(REAL *w, REAL c, const REAL *x, const REAL *next, ptrdiff_t n, ptrdiff_t ahead,
                                   int wide) {
    ptrdiff_t j = n / (4 * LANES) * (4 * LANES);
    lanes sum;
#if defined(WIDE)
    if (wide)
        sum = NAME(wide_sweep)(w, c, x, next, n, ahead);
    else
#endif
    if (ahead)
        sum = NAME(sweep)(w, c, x, next, n, ahead);
    else
        sum = NAME(sweep)(w, c, x, next, n, 0);
    NAME(add_scaled_asking)(w + j, c, x + j, n - j, 0);
    for (; j + LANES <= n; j += LANES) sum = NAME(plus_product)(sum, w + j, next + j);
    return NAME(narrow_dot)(w + j, next + j, n - j, NAME(halve)(sum));
}

/* the same in two passes, of which each may ask as its loop does */
static inline REAL NAME(add_then_dot)(REAL *w, REAL c, const REAL *x, const REAL *next, ptrdiff_t n, ptrdiff_t behind,
                                      ptrdiff_t near, ptrdiff_t far) {
    if (behind)
        NAME(add_scaled_asking)(w, c, x, n, behind);
    else
        NAME(add_scaled_asking)(w, c, x, n, 0);
    if (!far) return NAME(dot)(w, next, n, 0); /* nor near */
    return near ? NAME(dot_asking)(w, next, n, 0, near, far) : NAME(dot_asking)(w, next, n, 0, 0, far);
}
