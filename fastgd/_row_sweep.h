/* A step of one row and the product of the next: w ← w + c x and, of these weights while they are at hand, Σ_j w_j
   next_j, from four `lanes` to the next. Unless `ahead` is 0, what stands so many bytes behind `next` is asked for.
   Included for each REAL with the parts of _lanes.h as VECTOR, and where there may be registers of 64 bytes with these;
   SWEEP names the function, TARGET says what it is compiled for. The running sums are the same 128 bytes, and so is the
   result. */

TARGET lanes SWEEP(REAL *w, REAL c, const REAL *x, const REAL *next, ptrdiff_t n, ptrdiff_t ahead) {
    enum { SUMS = 128 / sizeof(VECTOR), EACH = sizeof(VECTOR) / sizeof(REAL) };
    VECTOR sums[SUMS] = {{0}};
    lanes s[4];
    for (ptrdiff_t j = 0; j + 4 * LANES <= n; j += 4 * LANES) {
        if (ahead) {
            PREFETCH((const char *)(next + j) + ahead);
            PREFETCH((const char *)(next + j + 2 * LANES) + ahead);
        }
        UNROLL for (int k = 0; k < SUMS; k++) {
            const ptrdiff_t i = j + k * EACH;
            const VECTOR v = *(const VECTOR *)(w + i) + c * *(const VECTOR *)(x + i);
            *(VECTOR *)(w + i) = v;
            sums[k] += v * *(const VECTOR *)(next + i);
        }
    }
    memcpy(s, sums, sizeof(s));
    return NAME(plus)(NAME(plus)(s[0], s[2]), NAME(plus)(s[1], s[3]));
}

#undef VECTOR
#undef SWEEP
#undef TARGET
