/* Loops over features for a block of BLOCK rows x_i. As in _lanes.h, which includes this, the order of every addition
   is written here. */

#ifndef PAIRS
enum { BLOCK = 4 };
#define PAIRS (BLOCK * (BLOCK - 1) / 2)
#endif

/* Asks for four rows where they are j numbers on. A line of 64 bytes is two lanes, so half of the rows have their turn. */
static inline void NAME(ask_far)(const REAL *const *rows, ptrdiff_t j) {
    PREFETCH_FAR(rows[(j / LANES) & 1] + j);
    PREFETCH_FAR(rows[2 + ((j / LANES) & 1)] + j);
}

/* w_j ← keep w_j + Σ_i c_i x_ij; where `keep` is 1 as written, the compiler leaves it out. Unless `next` is NULL, the
   rows that come next, which block_sums has asked for, are asked for again: the hardware forgets some. */
static inline void NAME(add_block)(REAL *w, REAL keep, const REAL *c_given, const REAL *const *x_given, ptrdiff_t n,
                                   const REAL *const *next) {
    REAL c[BLOCK]; /* copies that nothing written to w could change */
    const REAL *x[BLOCK];
    ptrdiff_t j = 0;
    UNROLL for (int i = 0; i < BLOCK; i++) c[i] = c_given[i], x[i] = x_given[i];
    for (; j + PER <= n; j += PER) {
        if (next) NAME(ask_far)(next, j);
        part sum = keep * *(part *)(w + j);
        UNROLL for (int i = 0; i < BLOCK; i++) sum += c[i] * *(const part *)(x[i] + j);
        *(part *)(w + j) = sum;
    }
#if defined(__GNUC__)
    if (LANES == 8 && n - j >= 4) {
        four sum = keep * *(four *)(w + j);
        UNROLL for (int i = 0; i < BLOCK; i++) sum += c[i] * *(const four *)(x[i] + j);
        *(four *)(w + j) = sum;
        j += 4;
    }
#endif
    for (; j < n; j++) {
        REAL sum = keep * w[j];
        UNROLL for (int i = 0; i < BLOCK; i++) sum += c[i] * x[i][j];
        w[j] = sum;
    }
}

/* m_i = start + w·x_i and g_ik = x_i·x_k for k < i, at g[i (i − 1) / 2 + k]; without m where w is NULL. Each part of the
   lanes has its turn, so that all sums stay in registers. Unless z is NULL, w ← w + Σ_i c_i z_i before, in the same pass.
   Unless `next` is NULL, the rows that come next are asked for ahead, being too many streams for the hardware to
   foresee: if they are `near` into the first level of cache. Otherwise, as the hardware forgets some, they are asked for
   again: a little before they are read, or by add_block. */
INLINED void NAME(sums_of_block)(REAL *w, const REAL *c_given, const REAL *const *z_given, const REAL *const *x_given,
                                 ptrdiff_t n, REAL start, REAL *m, REAL *g, const REAL *const *next_given, int near) {
    const ptrdiff_t again = 1024 / sizeof(REAL);
    ptrdiff_t j = 0;
    lanes M[BLOCK], G[PAIRS];
    REAL c[BLOCK]; /* copies that nothing written to w could change */
    const REAL *x[BLOCK], *z[BLOCK], *next[BLOCK];
    UNROLL for (int i = 0; i < BLOCK; i++) {
        x[i] = x_given[i];
        if (z_given) c[i] = c_given[i], z[i] = z_given[i];
        if (next_given) next[i] = next_given[i];
    }
    for (size_t p = 0; p < 32 / sizeof(part); p++) {
        part a[BLOCK], b[PAIRS];
        UNROLL for (int i = 0; i < BLOCK; i++) a[i] = (part){0};
        UNROLL for (int i = 0; i < PAIRS; i++) b[i] = (part){0};
        for (j = 0; j + LANES <= n; j += LANES) {
            if (next_given && near) {
                PREFETCH(next[(j / LANES) & 1] + j);
                PREFETCH(next[2 + ((j / LANES) & 1)] + j);
            } else if (next_given) {
                NAME(ask_far)(next, j);
                if (z_given && j + again < n + 2 * LANES) NAME(ask_far)(x, j + again);
            }
            part v = w ? *(const part *)(w + j + p * PER) : (part){0};
            if (z_given) {
                UNROLL for (int i = 0; i < BLOCK; i++) v += c[i] * *(const part *)(z[i] + j + p * PER);
                *(part *)(w + j + p * PER) = v;
            }
            part xs[BLOCK];
            UNROLL for (int i = 0; i < BLOCK; i++) {
                xs[i] = *(const part *)(x[i] + j + p * PER);
                IN_REGISTER(xs[i]);
                if (w) a[i] += v * xs[i];
                UNROLL for (int k = 0; k < i; k++) b[i * (i - 1) / 2 + k] += xs[i] * xs[k];
            }
        }
        UNROLL for (int i = 0; i < BLOCK; i++) M[i].p[p] = a[i];
        UNROLL for (int i = 0; i < PAIRS; i++) G[i].p[p] = b[i];
    }
    if (z_given) {
        const REAL *rest[BLOCK];
        UNROLL for (int i = 0; i < BLOCK; i++) rest[i] = z[i] + j;
        NAME(add_block)(w + j, 1, c, rest, n - j, NULL);
    }
    half ends[BLOCK + PAIRS];
    REAL sums[BLOCK + PAIRS];
    const ptrdiff_t four_more = LANES == 8 && n - j >= 4;
    UNROLL for (int i = 0; i < BLOCK; i++) {
        ends[i] = NAME(fold)(M[i], w && four_more ? w + j : NULL, x[i] + j);
        UNROLL for (int k = 0; k < i; k++)
            ends[BLOCK + i * (i - 1) / 2 + k] = NAME(fold)(G[i * (i - 1) / 2 + k], four_more ? x[i] + j : NULL, x[k] + j);
    }
    NAME(add_up_four)(ends, sums);
    NAME(add_up_four)(ends + BLOCK, sums + BLOCK);
    UNROLL for (int i = 2 * BLOCK; i < BLOCK + PAIRS; i++) sums[i] = NAME(add_up)(ends[i]);
    for (j += 4 * four_more; j < n; j++)
        UNROLL for (int i = 0; i < BLOCK; i++) {
            if (w) sums[i] += w[j] * x[i][j];
            UNROLL for (int k = 0; k < i; k++) sums[BLOCK + i * (i - 1) / 2 + k] += x[i][j] * x[k][j];
        }
    if (w) UNROLL for (int i = 0; i < BLOCK; i++) m[i] = start + sums[i];
    UNROLL for (int i = 0; i < PAIRS; i++) g[i] = sums[BLOCK + i];
}

/* g alone */
static inline void NAME(block_products)(const REAL *const *x, ptrdiff_t n, REAL *g) {
    NAME(sums_of_block)(NULL, NULL, NULL, x, n, 0, NULL, g, NULL, 0);
}

/* all of them, of w as it is */
static inline void NAME(block_sums)(REAL *w, const REAL *const *x, ptrdiff_t n, REAL start, REAL *m, REAL *g,
                                    const REAL *const *next, int near) {
    if (next && near)
        NAME(sums_of_block)(w, NULL, NULL, x, n, start, m, g, next, 1);
    else if (next)
        NAME(sums_of_block)(w, NULL, NULL, x, n, start, m, g, next, 0);
    else
        NAME(sums_of_block)(w, NULL, NULL, x, n, start, m, g, NULL, 0);
}

/* and of w when it is moved */
static inline void NAME(move_and_sum)(REAL *w, const REAL *c, const REAL *const *z, const REAL *const *x, ptrdiff_t n,
                                      REAL start, REAL *m, REAL *g, const REAL *const *next) {
    NAME(sums_of_block)(w, c, z, x, n, start, m, g, next, 0);
}

/* w ← w + c x over one `lanes` of numbers, and of these weights, while they are at hand, sum + w·next, lane by lane */
static inline lanes NAME(sweep_lanes)(lanes sum, REAL *w, REAL c, const REAL *x, const REAL *next) {
    for (size_t k = 0; k < 32 / sizeof(part); k++) {
        const part v = *(const part *)(w + k * PER) + c * *(const part *)(x + k * PER);
        *(part *)(w + k * PER) = v;
        sum.p[k] += v * *(const part *)(next + k * PER);
    }
    return sum;
}

/* w ← w + c x, and of these weights start + w·next. Unless `later` is NULL, the row there is asked for, into the
   second level of cache. */
static inline REAL NAME(row_sweep)(REAL *w, REAL c, const REAL *x, const REAL *next, const REAL *later, ptrdiff_t n,
                                   REAL start) {
    ptrdiff_t j = 0;
    lanes s0 = {{{0}}}, s1 = {{{0}}}, s2 = {{{0}}}, s3 = {{{0}}};
    for (; j + 4 * LANES <= n; j += 4 * LANES) {
        if (later) {
            PREFETCH_FAR(later + j);
            PREFETCH_FAR(later + j + 2 * LANES);
        }
        s0 = NAME(sweep_lanes)(s0, w + j, c, x + j, next + j);
        s1 = NAME(sweep_lanes)(s1, w + j + LANES, c, x + j + LANES, next + j + LANES);
        s2 = NAME(sweep_lanes)(s2, w + j + 2 * LANES, c, x + j + 2 * LANES, next + j + 2 * LANES);
        s3 = NAME(sweep_lanes)(s3, w + j + 3 * LANES, c, x + j + 3 * LANES, next + j + 3 * LANES);
    }
    s0 = NAME(plus)(NAME(plus)(s0, s2), NAME(plus)(s1, s3));
    for (; j + LANES <= n; j += LANES) s0 = NAME(sweep_lanes)(s0, w + j, c, x + j, next + j);
#if defined(__GNUC__)
    if (LANES == 8 && n - j >= 4) {
        const four v = *(const four *)(w + j) + c * *(const four *)(x + j), u = v * *(const four *)(next + j);
        *(four *)(w + j) = v;
        start += (u[0] + u[2]) + (u[1] + u[3]);
        j += 4;
    }
#endif
    for (; j < n; j++) {
        w[j] += c * x[j];
        start += w[j] * next[j];
    }
    return NAME(halve)(s0) + start;
}

/* m_i = w·x_i and q_i = v·x_i: for two rows of weights at once the block's rows are read half as often */
static inline void NAME(block_dots)(const REAL *w, const REAL *v, const REAL *const *x, ptrdiff_t n, REAL *m,
                                    REAL *q) {
    ptrdiff_t j = 0;
    lanes M[BLOCK], Q[BLOCK];
    for (size_t p = 0; p < 32 / sizeof(part); p++) {
        part a[BLOCK], b[BLOCK];
        UNROLL for (int i = 0; i < BLOCK; i++) a[i] = b[i] = (part){0};
        for (j = 0; j + LANES <= n; j += LANES) {
            const part wj = *(const part *)(w + j + p * PER), vj = *(const part *)(v + j + p * PER);
            UNROLL for (int i = 0; i < BLOCK; i++) {
                part xi = *(const part *)(x[i] + j + p * PER);
                IN_REGISTER(xi);
                a[i] += wj * xi;
                b[i] += vj * xi;
            }
        }
        UNROLL for (int i = 0; i < BLOCK; i++) M[i].p[p] = a[i], Q[i].p[p] = b[i];
    }
    UNROLL for (int i = 0; i < BLOCK; i++) {
        ptrdiff_t k = j;
        const ptrdiff_t four_more = LANES == 8 && n - k >= 4;
        m[i] = NAME(add_up)(NAME(fold)(M[i], four_more ? w + k : NULL, x[i] + k));
        q[i] = NAME(add_up)(NAME(fold)(Q[i], four_more ? v + k : NULL, x[i] + k));
        for (k += 4 * four_more; k < n; k++) {
            m[i] += w[k] * x[i][k];
            q[i] += v[k] * x[i][k];
        }
    }
}

/* add_block for two rows of weights, w and v, between which the rows are read once */
static inline void NAME(add_block_to_two)(REAL *w, REAL *v, REAL keep_w, REAL keep_v, const REAL *c, const REAL *e,
                                          const REAL *const *x_given, ptrdiff_t n) {
    part C[BLOCK], E[BLOCK];
    const REAL *x[BLOCK], *rest[BLOCK];
    ptrdiff_t j = 0;
    UNROLL for (int i = 0; i < BLOCK; i++) C[i] = c[i] - (part){0}, E[i] = e[i] - (part){0}, x[i] = x_given[i];
    for (; j + PER <= n; j += PER) {
        part wj = keep_w * *(part *)(w + j), vj = keep_v * *(part *)(v + j);
        UNROLL for (int i = 0; i < BLOCK; i++) {
            part xi = *(const part *)(x[i] + j);
            IN_REGISTER(xi);
            wj += C[i] * xi;
            vj += E[i] * xi;
        }
        *(part *)(w + j) = wj;
        *(part *)(v + j) = vj;
    }
    UNROLL for (int i = 0; i < BLOCK; i++) rest[i] = x[i] + j;
    NAME(add_block)(w + j, keep_w, c, rest, n - j, NULL);
    NAME(add_block)(v + j, keep_v, e, rest, n - j, NULL);
}

/* w ← w + Σ_i c_i x_i over two rows */
static inline void NAME(add_two)(REAL *w, REAL c, const REAL *x, REAL e, const REAL *z, ptrdiff_t n) {
    ptrdiff_t j = 0;
    for (; j + PER <= n; j += PER)
        *(part *)(w + j) = *(part *)(w + j) + c * *(const part *)(x + j) + e * *(const part *)(z + j);
    for (; j < n; j++) w[j] = w[j] + c * x[j] + e * z[j];
}

/* the same over three */
static inline void NAME(add_three)(REAL *w, REAL c, const REAL *x, REAL e, const REAL *z, REAL f, const REAL *v,
                                   ptrdiff_t n) {
    ptrdiff_t j = 0;
    for (; j + PER <= n; j += PER)
        *(part *)(w + j) = *(part *)(w + j) + c * *(const part *)(x + j) + e * *(const part *)(z + j)
                           + f * *(const part *)(v + j);
    for (; j < n; j++) w[j] = w[j] + c * x[j] + e * z[j] + f * v[j];
}
