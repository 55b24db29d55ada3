/* Loops over features for BLOCK rows x_i, and one or two units. As in _lanes.h, which includes this, the order of every
   addition is written here. */

#ifndef PAIRS
enum { BLOCK = 4 };
#define PAIRS (BLOCK * (BLOCK - 1) / 2)
#endif

/* w_j ← keep w_j + Σ_i c_i x_ij over `count` rows, no more than two blocks; where this and `keep` are constants as
   written, the compiler makes a loop for each count, without a factor of 1 */
INLINED void NAME(add_counted)(REAL *w, REAL keep, const REAL *c_given, const REAL *const *x_given, int count,
                               ptrdiff_t n) {
    REAL c[2 * BLOCK]; /* copies that nothing written to w could change */
    const REAL *x[2 * BLOCK];
    ptrdiff_t j = 0;
    UNROLL for (int i = 0; i < count; i++) c[i] = c_given[i], x[i] = x_given[i];
    for (; j + PER <= n; j += PER) {
        part sum = keep * *(part *)(w + j);
        UNROLL for (int i = 0; i < count; i++) sum += c[i] * *(const part *)(x[i] + j);
        *(part *)(w + j) = sum;
    }
    if (n - j >= LANES / 2) {
        NAME(add_half)(w, keep, c, x, count, j);
        j += LANES / 2;
    }
    for (; j < n; j++) {
        REAL sum = keep * w[j];
        UNROLL for (int i = 0; i < count; i++) sum += c[i] * x[i][j];
        w[j] = sum;
    }
}

static inline void NAME(add_block)(REAL *w, REAL keep, const REAL *c, const REAL *const *x, ptrdiff_t n) {
    NAME(add_counted)(w, keep, c, x, BLOCK, n);
}

/* w ← w + Σ_i c_i x_i: the weights are read and written once */
static inline void NAME(add_rows)(REAL *w, const REAL *c, const REAL *const *x, ptrdiff_t count, ptrdiff_t n) {
    switch (count) {
    case 1: NAME(add_scaled_asking)(w, c[0], x[0], n, 0); break;
    case 2: NAME(add_counted)(w, 1, c, x, 2, n); break;
    case 3: NAME(add_counted)(w, 1, c, x, 3, n); break;
    case 4: NAME(add_counted)(w, 1, c, x, 4, n); break;
    case 5: NAME(add_counted)(w, 1, c, x, 5, n); break;
    case 6: NAME(add_counted)(w, 1, c, x, 6, n); break;
    case 7: NAME(add_counted)(w, 1, c, x, 7, n); break;
    case 8: NAME(add_counted)(w, 1, c, x, 8, n); break;
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
    const ptrdiff_t half_more = n - j >= LANES / 2;
    half ends[2 * BLOCK];
    UNROLL for (int i = 0; i < BLOCK; i++) {
        ends[i] = NAME(fold)(M[i], half_more ? w + j : NULL, x[i] + j);
        ends[BLOCK + i] = NAME(fold)(Q[i], half_more ? v + j : NULL, x[i] + j);
    }
    NAME(add_up_four)(ends, m);
    NAME(add_up_four)(ends + BLOCK, q);
    for (j += LANES / 2 * half_more; j < n; j++)
        UNROLL for (int i = 0; i < BLOCK; i++) {
            m[i] += w[j] * x[i][j];
            q[i] += v[j] * x[i][j];
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
