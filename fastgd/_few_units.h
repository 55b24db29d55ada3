/* A network with one hidden layer of few relu units: one step and the outputs of the sample that comes next. Included
   by _lanes.h.

   All that belongs to a unit stands in its place of a row of m numbers, whole lanes of them, zeros where there are no
   units, so that sums, slopes and moves stay in registers: the first layer's weights by columns, v_j for j < d and the
   biases behind them; the second's by rows, u_k for k < K, and behind them its K biases. Let s be the slopes of the
   outputs, times −rate, x the sample, x' the next, g = x·x' + κ, and κ 1 where there are biases, otherwise 0. Then

       δ = Σ_k s_k u_k where z > 0, else 0;   z' = (b + Σ_j x'_j v_j) + g δ, so that it does not wait for v and b;
       v_j ← v_j + x_j δ;   b ← b + κ δ;   u_k ← u_k + s_k max(z, 0);   c_k ← c_k + κ s_k;
       y'_k = c_k + u_k · max(z', 0). */

#if defined(__GNUC__)
#define bits NAME(bits)
typedef __typeof__((part){0} > (part){0}) bits;
#define WHERE_POSITIVE(z, value) ((part)((bits)(value) & ((z) > 0)))
#else
#define WHERE_POSITIVE(z, value) ((z) > 0 ? (value) : 0)
#endif
#define MOST_PARTS (4 * (32 / sizeof(part)))
#define PARTS (H * (32 / sizeof(part)))
#define EVERY(p) UNROLL for (size_t p = 0; p < PARTS; p++)
#define AT(w, p) (*(part *)((w) + p * PER))
#define OF(lanes, p) (lanes).p[p % (32 / sizeof(part))]

/* for H lanes of units; what is not finite in z' shows in `flaw` */
static inline void NAME(move_group)(REAL *v, REAL *u, const REAL *slope, const REAL *x, const REAL *next, REAL g,
                                    REAL kappa, ptrdiff_t d, ptrdiff_t m, ptrdiff_t K, REAL *z, REAL *y, REAL *flaw,
                                    const int H) {
    part a[MOST_PARTS], delta[MOST_PARTS], sum[MOST_PARTS] = {{0}}, odd[MOST_PARTS];
    lanes flaws = {{{0}}};
    ptrdiff_t j = 0;
    EVERY(p) {
        a[p] = WHERE_POSITIVE(AT(z, p), AT(z, p));
        delta[p] = (part){0};
    }
    for (ptrdiff_t k = 0; k < K; k++) EVERY(p) {
        const part w = AT(u + k * m, p);
        delta[p] += slope[k] * w;
        AT(u + k * m, p) = w + slope[k] * a[p];
    }
    EVERY(p) {
        delta[p] = WHERE_POSITIVE(a[p], delta[p]);
        sum[p] = AT(v + d * m, p);
        odd[p] = (part){0};
        AT(v + d * m, p) = sum[p] + kappa * delta[p];
    }
    for (; j + 2 <= d; j += 2) {
        REAL *const v0 = v + j * m, *const v1 = v0 + m;
        const REAL next0 = next[j], next1 = next[j + 1], x0 = x[j], x1 = x[j + 1];
        EVERY(p) {
            const part w0 = AT(v0, p), w1 = AT(v1, p);
            sum[p] += next0 * w0;
            odd[p] += next1 * w1;
            AT(v0, p) = w0 + x0 * delta[p];
            AT(v1, p) = w1 + x1 * delta[p];
        }
    }
    if (j < d) EVERY(p) {
        sum[p] += next[j] * AT(v + j * m, p);
        AT(v + j * m, p) += x[j] * delta[p];
    }
    EVERY(p) {
        sum[p] = (sum[p] + odd[p]) + g * delta[p];
        AT(z, p) = sum[p];
        OF(flaws, p) += 0 * sum[p];
        a[p] = WHERE_POSITIVE(sum[p], sum[p]);
    }
    for (ptrdiff_t k = 0; k < K; k++) {
        lanes total = {{{0}}};
        EVERY(p) OF(total, p) += a[p] * AT(u + k * m, p);
        y[k] += NAME(halve)(total);
    }
    *flaw += NAME(halve)(flaws);
}

/* for all of them; z and y become those of the next sample, and `flaw` 0 or what is not finite */
static inline void NAME(move_few_units)(REAL *v, REAL *u, const REAL *slope, const REAL *x, const REAL *next, REAL g,
                                       REAL kappa, ptrdiff_t d, ptrdiff_t m, ptrdiff_t K, REAL *z, REAL *y,
                                       REAL *flaw) {
    *flaw = 0;
    for (ptrdiff_t k = 0; k < K; k++) y[k] = u[K * m + k] += kappa * slope[k];
    for (ptrdiff_t j = 0; j < m; j += 4 * LANES) {
        REAL *const V = v + j, *const U = u + j, *const Z = z + j;
        switch ((m - j) / LANES) {
        case 1: NAME(move_group)(V, U, slope, x, next, g, kappa, d, m, K, Z, y, flaw, 1); break;
        case 2: NAME(move_group)(V, U, slope, x, next, g, kappa, d, m, K, Z, y, flaw, 2); break;
        case 3: NAME(move_group)(V, U, slope, x, next, g, kappa, d, m, K, Z, y, flaw, 3); break;
        default: NAME(move_group)(V, U, slope, x, next, g, kappa, d, m, K, Z, y, flaw, 4);
        }
    }
}

#undef bits
#undef WHERE_POSITIVE
#undef MOST_PARTS
#undef PARTS
#undef EVERY
#undef OF
#undef AT
