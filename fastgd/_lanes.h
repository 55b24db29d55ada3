/* The two loops over features: a dot product and a scaled sum. Included once for each REAL, with NAME(f) naming them.

   Thirty-two bytes of numbers (four double, eight float) travel as one `lanes`, four of them as running sums. The
   order of every addition is written here and is the same for every width of the registers, so that the compiler
   needs no leave to reorder sums and all levels without fused multiplication give the same bits. Why not plain
   arrays: gcc 12 keeps some of them on the stack, and takes up to twice as long for it. */

#ifndef UNROLL
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 8")
#else
#define UNROLL
#endif
#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#define PREFETCH_FAR(address) __builtin_prefetch(address, 0, 2)
#define KEEP_BRANCH() __asm__ volatile("") /* where it stands a branch remains one, and is foreseen */
#else
#define PREFETCH(address) ((void)(address))
#define PREFETCH_FAR(address) ((void)(address))
#define KEEP_BRANCH() ((void)0)
#endif
#endif
#ifndef INLINED /* where each caller's constants are to be seen */
#if defined(__GNUC__)
#define INLINED static inline __attribute__((always_inline))
#else
#define INLINED static inline
#endif
#endif
#ifndef IN_REGISTER /* hides from gcc that it could as well load a number again wherever it is used */
#if defined(__GNUC__) && defined(__x86_64__)
#define IN_REGISTER(vector) __asm__("" : "+x"(vector))
#elif defined(__GNUC__) && defined(__aarch64__)
#define IN_REGISTER(vector) __asm__("" : "+w"(vector))
#else
#define IN_REGISTER(vector) ((void)(vector))
#endif
#endif
#ifndef NUMBER /* the k-th number of a `half` */
#if defined(__GNUC__)
#define NUMBER(numbers, k) (numbers)[k]
#else
#define NUMBER(numbers, k) (numbers).p[k]
#endif
#endif
#undef LANES
#undef PER
#define LANES ((ptrdiff_t)(32 / sizeof(REAL)))        /* numbers in a `lanes` */
#define PER ((ptrdiff_t)(sizeof(part) / sizeof(REAL))) /* numbers in one of its parts */
#define part NAME(part)
#define lanes NAME(lanes)
#define four NAME(four)
#define half NAME(half)

#if defined(__GNUC__) && defined(__AVX__)
typedef REAL part __attribute__((vector_size(32), aligned(sizeof(REAL)), may_alias));
#elif defined(__GNUC__)
typedef REAL part __attribute__((vector_size(16), aligned(sizeof(REAL)), may_alias));
#else
typedef REAL part;
#endif
typedef struct { part p[32 / sizeof(part)]; } lanes;
#if defined(__GNUC__)
typedef REAL half __attribute__((vector_size(16), aligned(sizeof(REAL)), may_alias));
typedef REAL four __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#else
typedef lanes half;
#endif

static inline lanes NAME(plus)(lanes a, lanes b) {
    for (size_t k = 0; k < 32 / sizeof(part); k++) a.p[k] += b.p[k];
    return a;
}

/* Σ_j x_j², summed in double */
static inline double NAME(square)(const REAL *x, ptrdiff_t n) {
    double sums[8] = {0}, rest = 0;
    ptrdiff_t j = 0;
    for (; j + 8 <= n; j += 8)
        UNROLL for (int k = 0; k < 8; k++) sums[k] += (double)x[j + k] * (double)x[j + k];
    for (; j < n; j++) rest += (double)x[j] * (double)x[j];
    return rest + (((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])));
}

/* 1 where x ≥ 0, else 0, by a mask: of a comparison of scalars compilers make a branch, or a chain over integers */
static inline REAL NAME(not_negative)(REAL x) {
#if defined(__GNUC__)
    typedef REAL pair __attribute__((vector_size(16)));
    typedef __typeof__((pair){0} >= (pair){0}) bits;
    return ((pair)(((pair){x} >= (pair){0}) & (bits)(pair){1}))[0];
#else
    return x >= 0;
#endif
}

/* a product that is rounded before anything is added to it: no addition is fused with it */
static inline REAL NAME(rounded)(REAL product) {
    IN_REGISTER(product);
    return product;
}

/* sum + a·b, lane by lane */
static inline lanes NAME(plus_product)(lanes sum, const REAL *a, const REAL *b) {
    for (size_t k = 0; k < 32 / sizeof(part); k++)
        sum.p[k] += *(const part *)(a + k * PER) * *(const part *)(b + k * PER);
    return sum;
}

/* The sum over the lanes is made by halving: first k + (k + 4). Unless a is NULL, a_k b_k of four numbers more join the
   upper four of eight, or where they are `in_turn` the lower four. */
INLINED half NAME(fold_joining)(lanes sum, const REAL *a, const REAL *b, int in_turn) {
#if defined(__GNUC__)
    half low, high;
    memcpy(&low, &sum, 16);
    memcpy(&high, (const char *)&sum + 16, 16);
    if (a && in_turn) low += *(const half *)a * *(const half *)b;
    if (a && !in_turn) high += *(const half *)a * *(const half *)b;
    return low + high;
#else
    for (int k = 0; k < LANES / 2; k++) sum.p[k] += sum.p[k + LANES / 2] + (a ? a[k] * b[k] : 0);
    return sum;
#endif
}

static inline half NAME(fold)(lanes sum, const REAL *a, const REAL *b) {
    return NAME(fold_joining)(sum, a, b, 0);
}

/* then (0 + 2) + (1 + 3) */
static inline REAL NAME(add_up)(half s) {
    if (LANES == 4) return NUMBER(s, 0) + NUMBER(s, 1);
    return (NUMBER(s, 0) + NUMBER(s, LANES / 2 - 2)) + (NUMBER(s, 1) + NUMBER(s, LANES / 2 - 1));
}

/* the same for four of them */
static inline void NAME(add_up_four)(const half *s, REAL *out) {
#if defined(__GNUC__)
    if (LANES == 8) {
        four a, b, c, d;
        memcpy(&a, s, 16), memcpy(&b, s + 1, 16), memcpy(&c, s + 2, 16), memcpy(&d, s + 3, 16);
        a = (four){a[0], a[1], b[0], b[1]} + (four){a[2], a[3], b[2], b[3]};
        c = (four){c[0], c[1], d[0], d[1]} + (four){c[2], c[3], d[2], d[3]};
        *(four *)out = (four){a[0], a[2], c[0], c[2]} + (four){a[1], a[3], c[1], c[3]};
        return;
    }
#endif
    for (int i = 0; i < 4; i++) out[i] = NAME(add_up)(s[i]);
}

static inline REAL NAME(halve)(lanes sum) {
    return NAME(add_up)(NAME(fold)(sum, NULL, NULL));
}

/* Σ_n c_n zⁿ of n < terms, with `first` for c_0, by pairs of terms, and pairs of pairs: what is short waits less */
INLINED REAL NAME(series)(REAL z, REAL first, const REAL *c, int terms) {
    const REAL zz = z * z;
    REAL sum = (first + z * c[1]) + zz * (c[2] + z * c[3]);
    if (terms == 8) sum += (zz * zz) * ((c[4] + z * c[5]) + zz * (c[6] + z * c[7]));
    return sum;
}

static inline REAL NAME(dot_of_four)(const REAL *a, const REAL *b) {
#if defined(__GNUC__)
    const four s = *(const four *)a * *(const four *)b;
    return (s[0] + s[2]) + (s[1] + s[3]);
#else
    return (a[0] * b[0] + a[2] * b[2]) + (a[1] * b[1] + a[3] * b[3]);
#endif
}

/* start + w · x where w is narrower than LANES */
static inline REAL NAME(narrow_dot)(const REAL *w, const REAL *x, ptrdiff_t n, REAL start) {
    ptrdiff_t j = 0;
    if (LANES == 8 && n >= 4) {
        start += NAME(dot_of_four)(w, x);
        j = 4;
    }
    for (; j < n; j++) start += w[j] * x[j];
    return start;
}

/* start + Σ_j a_j b_j. What stands `near` and `far` bytes behind b is asked for, into the first and the second level of
   cache, unless they are 0. */
INLINED REAL NAME(dot_asking)(const REAL *a, const REAL *b, ptrdiff_t n, REAL start, ptrdiff_t near, ptrdiff_t far) {
    ptrdiff_t j = 0;
    if (n >= LANES) {
        lanes s0 = {{{start}}}, s1 = {{{0}}}, s2 = {{{0}}}, s3 = {{{0}}};
        if (n >= 4 * LANES) {
            for (; j + 4 * LANES <= n; j += 4 * LANES) {
                if (near) {
                    PREFETCH((const char *)(b + j) + near);
                    PREFETCH((const char *)(b + j + 2 * LANES) + near);
                }
                if (far) {
                    PREFETCH_FAR((const char *)(b + j) + far);
                    PREFETCH_FAR((const char *)(b + j + 2 * LANES) + far);
                }
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
    return NAME(narrow_dot)(a + j, b + j, n - j, start);
}

static inline REAL NAME(dot)(const REAL *a, const REAL *b, ptrdiff_t n, REAL start) {
    return NAME(dot_asking)(a, b, n, start, 0, 0);
}

/* The same for a few numbers that were written one by one just before: a wide load of them would have to wait. */
static inline REAL NAME(short_dot)(const REAL *a, const REAL *b, ptrdiff_t n, REAL start) {
    REAL s0 = start, s1 = 0, s2 = 0, s3 = 0;
    ptrdiff_t j = 0;
    for (; j + 4 <= n; j += 4) {
        s0 += a[j] * b[j];
        s1 += a[j + 1] * b[j + 1];
        s2 += a[j + 2] * b[j + 2];
        s3 += a[j + 3] * b[j + 3];
    }
    for (; j < n; j++) s0 += a[j] * b[j];
    return (s0 + s2) + (s1 + s3);
}

/* out_j ← Σ_k c_k w_kj for the m rows of w, each of n numbers */
static inline void NAME(weighted_rows)(const REAL *w, const REAL *c, ptrdiff_t m, ptrdiff_t n, REAL *out) {
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        lanes sum = {{{0}}};
        for (ptrdiff_t k = 0; k < m; k++)
            for (size_t p = 0; p < 32 / sizeof(part); p++) sum.p[p] += c[k] * *(const part *)(w + k * n + j + p * PER);
        for (size_t p = 0; p < 32 / sizeof(part); p++) *(part *)(out + j + p * PER) = sum.p[p];
    }
    for (; j < n; j++) {
        REAL sum = 0;
        for (ptrdiff_t k = 0; k < m; k++) sum += c[k] * w[k * n + j];
        out[j] = sum;
    }
}

/* over half of the lanes, as wide as what reads them next: w ← keep w + Σ_i c_i x_i for some rows */
INLINED void NAME(add_half)(REAL *w, REAL keep, const REAL *c, const REAL *const *x, int rows, ptrdiff_t j) {
#if defined(__GNUC__)
    half sum = keep * *(half *)(w + j);
    UNROLL for (int i = 0; i < rows; i++) sum += c[i] * *(const half *)(x[i] + j);
    *(half *)(w + j) = sum;
#else
    for (ptrdiff_t stop = j + LANES / 2; j < stop; j++) {
        w[j] *= keep;
        for (int i = 0; i < rows; i++) w[j] += c[i] * x[i][j];
    }
#endif
}

/* w_k ← w_k + factor c_k x for the m rows of w, each of n numbers: for short rows, of which x stays in registers */
static inline void NAME(add_to_rows)(REAL *w, const REAL *c, REAL factor, const REAL *x, ptrdiff_t m, ptrdiff_t n) {
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (ptrdiff_t k = 0; k < m; k++)
            for (ptrdiff_t p = 0; p < LANES; p += PER)
                *(part *)(w + k * n + j + p) += factor * c[k] * *(const part *)(x + j + p);
    if (n - j >= LANES / 2) {
        for (ptrdiff_t k = 0; k < m; k++) {
            const REAL c_k = factor * c[k];
            NAME(add_half)(w + k * n, 1, &c_k, &x, 1, j);
        }
        j += LANES / 2;
    }
    for (; j < n; j++)
        for (ptrdiff_t k = 0; k < m; k++) w[k * n + j] += factor * c[k] * x[j];
}

/* w_j ← w_j + c x_j. Unless `behind` is 0, what stands so many bytes behind x is asked for, into the second level. */
INLINED void NAME(add_scaled_asking)(REAL *w, REAL c, const REAL *x, ptrdiff_t n, ptrdiff_t behind) {
    ptrdiff_t j = 0;
    for (; j + 4 * LANES <= n; j += 4 * LANES) {
        if (behind) {
            PREFETCH_FAR((const char *)(x + j) + behind);
            PREFETCH_FAR((const char *)(x + j + 2 * LANES) + behind);
        }
        for (ptrdiff_t k = 0; k < 4 * LANES; k += PER) *(part *)(w + j + k) += c * *(const part *)(x + j + k);
    }
    for (; j + LANES <= n; j += LANES)
        for (ptrdiff_t k = 0; k < LANES; k += PER) *(part *)(w + j + k) += c * *(const part *)(x + j + k);
    if (n - j >= LANES / 2) {
        NAME(add_half)(w, 1, &c, &x, 1, j);
        j += LANES / 2;
    }
    for (; j < n; j++) w[j] += c * x[j];
}

static inline void NAME(add_scaled)(REAL *w, REAL c, const REAL *x, ptrdiff_t n) {
    NAME(add_scaled_asking)(w, c, x, n, n * (ptrdiff_t)sizeof(REAL)); /* the row behind x */
}

#include "_blocks.h"
#include "_unit_blocks.h"
#include "_few_units.h"
#include "_short_rows.h"

#undef part
#undef lanes
#undef four
#undef half
