/* Steps over short rows whose slope is the residual w·x + b − t: four rows at once, each in a lane of its own. As in
   _lanes.h, which includes this, the order of every addition is written here. */

#ifndef SHORT_ROW_BYTES
#if defined(__GNUC__)
#define SHORT_ROW_BYTES 32 /* at most: of longer rows, too few sums stay in registers */
#else
#define SHORT_ROW_BYTES 0
#endif
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__aarch64__))
/* hides from gcc that it has read these numbers before: it would take them apart, in more steps than reading them */
#define READ_AGAIN(pointer) __asm__("" : "+r"(pointer))
#else
#define READ_AGAIN(pointer) ((void)(pointer))
#endif
#endif
#if SHORT_ROW_BYTES

/* the next four numbers of a row of which n are left, or these and zeros */
INLINED four NAME(up_to_four)(const REAL *x, int n) {
    return n >= 4 ? *(const four *)x : (four){x[0], n > 1 ? x[1] : 0, n > 2 ? x[2] : 0};
}

/* where four rows stand, and their targets, which are `stride` numbers apart */
INLINED void NAME(find_four)(const REAL *X, const REAL *T, ptrdiff_t stride, const int64_t *order, ptrdiff_t place, int d,
                             const REAL **x, four *t) {
    ptrdiff_t row[4];
    UNROLL for (int k = 0; k < 4; k++) row[k] = order ? order[place + k] : place + k, x[k] = X + row[k] * d;
    *t = !order && stride == 1 ? *(const four *)(T + place)
                               : (four){T[row[0] * stride], T[row[1] * stride], T[row[2] * stride], T[row[3] * stride]};
}

/* Of the four rows x and the four next, lane by lane: g_k = rate · (x_k·x + one), h_k = rate · (x_k·next + one), and
   rate · (w·next + b − t) is returned. The columns of x times the rate, which are given, become those of the next. */
INLINED four NAME(multiply_next)(const REAL *const *x, const REAL *const *next, four t, int d, REAL rate, REAL one,
                                 const four *w, REAL b, four *columns, four *g, four *h) {
    four a = rate * (b - t);
    UNROLL for (int k = 0; k < 4; k++) g[k] = h[k] = rate * one - (four){0};
    UNROLL for (int j = 0; j < d; j += 4) {
        const four p = NAME(up_to_four)(next[0] + j, d - j), q = NAME(up_to_four)(next[1] + j, d - j);
        const four r = NAME(up_to_four)(next[2] + j, d - j), s = NAME(up_to_four)(next[3] + j, d - j);
        const four column[4] = {{p[0], q[0], r[0], s[0]}, {p[1], q[1], r[1], s[1]},
                                {p[2], q[2], r[2], s[2]}, {p[3], q[3], r[3], s[3]}};
        UNROLL for (int i = 0; i < 4; i++) {
            if (j + i >= d) continue;
            const four later = rate * column[i];
            a += w[j / 4][i] * later;
            UNROLL for (int k = 0; k < 4; k++) g[k] += x[k][j + i] * columns[j + i], h[k] += x[k][j + i] * later;
            columns[j + i] = later;
        }
    }
    return a;
}

/* For each row in turn w ← w + a x and b ← b + a with a = rate · (w·x + b − t). Four a at once are made of the weights
   that stand four rows before them. Since then these have moved by a_k x_k, of which each, as soon as it is known, adds
   a_k · rate · (x_k·x_i + one) to the a_i after it: nothing else is waited for. What stands `ahead` bytes behind the rows
   is asked for. Returns the place that is reached, which leaves fewer than four rows, and adds Σ a² to *squares. */
INLINED ptrdiff_t NAME(short_steps_of)(int d, REAL *w, REAL rate, int bias, const REAL *X, const REAL *T,
                                       ptrdiff_t stride, const int64_t *order, ptrdiff_t start, ptrdiff_t stop,
                                       ptrdiff_t ahead, double *squares) {
    const REAL *x[4], *next[4];
    double sums[4] = {0};
    REAL b = bias ? w[d] : 0, one = (REAL)bias;
    four v[2], columns[8] = {{0}}, g[4], h[4], a, a_next, t;
    if (stop - start < 4) return start;
    UNROLL for (int j = 0; j < d; j += 4) v[j / 4] = NAME(up_to_four)(w + j, d - j);
    NAME(find_four)(X, T, stride, order, start, d, x, &t);
    a = NAME(multiply_next)(x, x, t, d, rate, one, v, b, columns, g, h);
    for (; start + 4 <= stop; start += 4) {
        NAME(find_four)(X, T, stride, order, start + 8 <= stop ? start + 4 : start, d, next, &t);
        UNROLL for (int k = 0; k < 4; k++) READ_AGAIN(x[k]);
        PREFETCH((const char *)x[0] + ahead);
        a_next = NAME(multiply_next)(x, next, t, d, rate, one, v, b, columns, g, h);
        UNROLL for (int k = 0; k < 4; k++) {
            const REAL a_k = a[k];
            sums[k] += (double)a_k * (double)a_k;
            a += a_k * g[k]; /* up to the k-th they are read no more */
            a_next += a_k * h[k];
            UNROLL for (int j = 0; j < d; j += 4) v[j / 4] += a_k * NAME(up_to_four)(x[k] + j, d - j);
            b += one * a_k;
        }
        a = a_next;
        UNROLL for (int k = 0; k < 4; k++) x[k] = next[k];
    }
    UNROLL for (int j = 0; j < d; j++) w[j] = v[j / 4][j % 4];
    if (bias) w[d] = b;
    *squares += (sums[0] + sums[2]) + (sums[1] + sums[3]);
    return start;
}

#endif

/* the same for rows of at most SHORT_ROW_BYTES, of which the compiler knows how many numbers they have */
static ptrdiff_t NAME(short_steps)(ptrdiff_t d, REAL *w, REAL rate, int bias, const REAL *X, const REAL *T,
                                   ptrdiff_t stride, const int64_t *order, ptrdiff_t start, ptrdiff_t stop,
                                   ptrdiff_t ahead, double *squares) {
    if (d * sizeof(REAL) > SHORT_ROW_BYTES) return start;
#if SHORT_ROW_BYTES
#define OF(n) case n: return NAME(short_steps_of)(n, w, rate, bias, X, T, stride, order, start, stop, ahead, squares)
    switch (d) { OF(1); OF(2); OF(3); OF(4); OF(5); OF(6); OF(7); OF(8); }
#undef OF
#endif
    return start;
}
