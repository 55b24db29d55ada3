/* The two loops over features: a dot product and a scaled sum. Included once for each REAL, with NAME(f) naming them.

   Thirty-two bytes of numbers (four double, eight float) travel as one `lanes`, four of them as running sums. The
   order of every addition is written here and is the same for every width of the registers, so that the compiler
   needs no leave to reorder sums and all levels without fused multiplication give the same bits. Why not plain
   arrays: gcc 12 keeps some of them on the stack, and takes up to twice as long for it. */

#undef LANES
#undef PER
#define LANES ((ptrdiff_t)(32 / sizeof(REAL)))        /* numbers in a `lanes` */
#define PER ((ptrdiff_t)(sizeof(part) / sizeof(REAL))) /* numbers in one of its parts */
#define part NAME(part)
#define lanes NAME(lanes)

#if defined(__GNUC__) && defined(__AVX__)
typedef REAL part __attribute__((vector_size(32), aligned(sizeof(REAL)), may_alias));
#elif defined(__GNUC__)
typedef REAL part __attribute__((vector_size(16), aligned(sizeof(REAL)), may_alias));
#else
typedef REAL part;
#endif
typedef struct { part p[32 / sizeof(part)]; } lanes;

static inline lanes NAME(plus)(lanes a, lanes b) {
    for (size_t k = 0; k < 32 / sizeof(part); k++) a.p[k] += b.p[k];
    return a;
}

/* sum + a·b, lane by lane */
static inline lanes NAME(plus_product)(lanes sum, const REAL *a, const REAL *b) {
    for (size_t k = 0; k < 32 / sizeof(part); k++)
        sum.p[k] += *(const part *)(a + k * PER) * *(const part *)(b + k * PER);
    return sum;
}

/* the sum over the lanes, by halving: first k + (k + 4), then (0 + 2) + (1 + 3) */
static inline REAL NAME(halve)(lanes sum) {
    REAL s[32 / sizeof(REAL)];
#if defined(__GNUC__)
    typedef REAL half __attribute__((vector_size(16)));
    half low, high;
    memcpy(&low, &sum, 16);
    memcpy(&high, (const char *)&sum + 16, 16);
    low += high;
    if (LANES == 4) return low[0] + low[1];
    memcpy(s, &low, 16);
#else
    memcpy(s, &sum, 32);
    if (LANES == 8) for (int k = 0; k < 4; k++) s[k] += s[k + 4];
#endif
    return (s[0] + s[2]) + (s[1] + s[3]);
}

/* start + Σ_j a_j b_j */
static inline REAL NAME(dot)(const REAL *a, const REAL *b, ptrdiff_t n, REAL start) {
    ptrdiff_t j = 0;
    if (n >= LANES) {
        lanes s0 = {{{start}}}, s1 = {{{0}}}, s2 = {{{0}}}, s3 = {{{0}}};
        if (n >= 4 * LANES) {
            for (; j + 4 * LANES <= n; j += 4 * LANES) {
                s0 = NAME(plus_product)(s0, a + j, b + j);
                s1 = NAME(plus_product)(s1, a + j + LANES, b + j + LANES);
                s2 = NAME(plus_product)(s2, a + j + 2 * LANES, b + j + 2 * LANES);
                s3 = NAME(plus_product)(s3, a + j + 3 * LANES, b + j + 3 * LANES);
            }
            s0 = NAME(plus)(NAME(plus)(s0, s2), NAME(plus)(s1, s3));
        }
        for (; j + LANES <= n; j += LANES) s0 = NAME(plus_product)(s0, a + j, b + j);
        start = NAME(halve)(s0);
    }
    if (LANES == 8 && n - j >= 4) {
        start += (a[j] * b[j] + a[j + 2] * b[j + 2]) + (a[j + 1] * b[j + 1] + a[j + 3] * b[j + 3]);
        j += 4;
    }
    for (; j < n; j++) start += a[j] * b[j];
    return start;
}

/* w_j ← w_j + c x_j */
static inline void NAME(add_scaled)(REAL *w, REAL c, const REAL *x, ptrdiff_t n) {
    ptrdiff_t j = 0;
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        for (ptrdiff_t k = 0; k < 4 * LANES; k += PER) *(part *)(w + j + k) += c * *(const part *)(x + j + k);
    for (; j + LANES <= n; j += LANES)
        for (ptrdiff_t k = 0; k < LANES; k += PER) *(part *)(w + j + k) += c * *(const part *)(x + j + k);
    for (; j < n; j++) w[j] += c * x[j];
}

#undef part
#undef lanes
