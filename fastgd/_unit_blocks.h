/* Loops over features for BLOCK rows x_i, and one or two units. As in _lanes.h, which includes this, the order of every
   addition is written here. */

#ifndef PAIRS
enum { BLOCK = 4 };
#define PAIRS (BLOCK * (BLOCK - 1) / 2)
#endif

/* w_j ← keep w_j + Σ_i c_i x_ij; where `keep` is 1 as written, the compiler leaves it out */
static inline void NAME(add_block)(REAL *w, REAL keep, const REAL *c_given, const REAL *const *x_given, ptrdiff_t n) {
    REAL c[BLOCK]; /* copies that nothing written to w could change */
    const REAL *x[BLOCK];
    ptrdiff_t j = 0;
    UNROLL for (int i = 0; i < BLOCK; i++) c[i] = c_given[i], x[i] = x_given[i];
    for (; j + PER <= n; j += PER) {
        part sum = keep * *(part *)(w + j);
        UNROLL for (int i = 0; i < BLOCK; i++) sum += c[i] * *(const part *)(x[i] + j);
        *(part *)(w + j) = sum;
    }
    if (n - j >= LANES / 2) {
        NAME(add_half)(w, keep, c, x, BLOCK, j);
        j += LANES / 2;
    }
    for (; j < n; j++) {
        REAL sum = keep * w[j];
        UNROLL for (int i = 0; i < BLOCK; i++) sum += c[i] * x[i][j];
        w[j] = sum;
    }
}

/* g_ik = x_i·x_k for k < i, at g[i (i − 1) / 2 + k]. Each part of the lanes has its turn, so that all sums stay in
   registers. */
static inline void NAME(block_products)(const REAL *const *x, ptrdiff_t n, REAL *g) {
    ptrdiff_t j = 0;
    lanes G[PAIRS];
    for (size_t p = 0; p < 32 / sizeof(part); p++) {
        part b[PAIRS];
        UNROLL for (int i = 0; i < PAIRS; i++) b[i] = (part){0};
        for (j = 0; j + LANES <= n; j += LANES) {
            part xs[BLOCK];
            UNROLL for (int i = 0; i < BLOCK; i++) {
                xs[i] = *(const part *)(x[i] + j + p * PER);
                IN_REGISTER(xs[i]);
                UNROLL for (int k = 0; k < i; k++) b[i * (i - 1) / 2 + k] += xs[i] * xs[k];
            }
        }
        UNROLL for (int i = 0; i < PAIRS; i++) G[i].p[p] = b[i];
    }
    const ptrdiff_t half_more = n - j >= LANES / 2;
    half ends[PAIRS];
    UNROLL for (int i = 0; i < BLOCK; i++)
        UNROLL for (int k = 0; k < i; k++)
            ends[i * (i - 1) / 2 + k] = NAME(fold)(G[i * (i - 1) / 2 + k], half_more ? x[i] + j : NULL, x[k] + j);
    NAME(add_up_four)(ends, g);
    UNROLL for (int i = 4; i < PAIRS; i++) g[i] = NAME(add_up)(ends[i]);
    for (j += LANES / 2 * half_more; j < n; j++)
        UNROLL for (int i = 0; i < BLOCK; i++)
            UNROLL for (int k = 0; k < i; k++) g[i * (i - 1) / 2 + k] += x[i][j] * x[k][j];
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
        const ptrdiff_t half_more = n - k >= LANES / 2;
        m[i] = NAME(add_up)(NAME(fold)(M[i], half_more ? w + k : NULL, x[i] + k));
        q[i] = NAME(add_up)(NAME(fold)(Q[i], half_more ? v + k : NULL, x[i] + k));
        for (k += LANES / 2 * half_more; k < n; k++) {
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
    NAME(add_block)(w + j, keep_w, c, rest, n - j);
    NAME(add_block)(v + j, keep_v, e, rest, n - j);
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
