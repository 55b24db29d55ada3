# ------------------------------------------------------------------------------------------------------------- rows
# A row is its values x and, beside them, where they stand: in columns 0, 1, 2, … of a dense row, or in those that a
# CSR matrix names, whose indices are of either width. What follows is dispatched once a row.

cdef enum:
    NEAR_BYTES = 1 << 20            # that stay in the second level of cache, more or less
    LINE_BYTES = 64


cdef struct Columns:                # of one row
    Py_ssize_t n                    # values
    const int32_t* narrow           # the column of each, or NULL
    const int64_t* wide             # the same


cdef struct Rows:                   # of X
    Py_ssize_t n
    Py_ssize_t d
    const void* indices             # NULL for dense rows
    const void* indptr
    bint wide


cdef inline Py_ssize_t index_size(const Rows* rows) noexcept nogil:
    return 8 if rows.wide else 4


cdef inline Py_ssize_t begin_of(const Rows* rows, Py_ssize_t row) noexcept nogil:
    # where the values of a sparse row begin
    return (<const int64_t*>rows.indptr)[row] if rows.wide else (<const int32_t*>rows.indptr)[row]


cdef inline Py_ssize_t row_at(Rows rows, Py_ssize_t row, Columns* at) noexcept nogil:
    # where the row's values begin; writes where they stand
    cdef Py_ssize_t begin
    at.narrow, at.wide = NULL, NULL
    if rows.indices == NULL:
        at.n = rows.d
        return row * rows.d
    begin = begin_of(&rows, row)
    at.n = begin_of(&rows, row + 1) - begin
    if rows.wide:
        at.wide = <const int64_t*>rows.indices + begin
    else:
        at.narrow = <const int32_t*>rows.indices + begin
    return begin


cdef inline bint sparse(const Columns* at) noexcept nogil:
    return at.narrow != NULL or at.wide != NULL


cdef inline Py_ssize_t column_of(const Columns* at, Py_ssize_t i) noexcept nogil:
    # where the i-th value of a sparse row stands
    return at.narrow[i] if at.narrow != NULL else at.wide[i]


cdef inline floating gathered_dot(const floating* w, const floating* x, const index_t* columns, Py_ssize_t n,
                                  const index_t* next, Py_ssize_t m) noexcept nogil:
    # Σ_i w[columns_i] x_i, while the weights of the m columns `next` are asked for
    if floating is double and index_t is int32_t:
        return gathered_dot_f64_i32(w, x, columns, n, next, m)
    elif floating is double and index_t is int64_t:
        return gathered_dot_f64_i64(w, x, columns, n, next, m)
    elif floating is float and index_t is int32_t:
        return gathered_dot_f32_i32(w, x, columns, n, next, m)
    else:
        return gathered_dot_f32_i64(w, x, columns, n, next, m)


cdef inline void scatter_scaled(floating* w, floating c, const floating* x, const index_t* columns,
                                Py_ssize_t n) noexcept nogil:
    # w[columns_i] ← w[columns_i] + c x_i
    if floating is double and index_t is int32_t:
        scatter_scaled_f64_i32(w, c, x, columns, n)
    elif floating is double and index_t is int64_t:
        scatter_scaled_f64_i64(w, c, x, columns, n)
    elif floating is float and index_t is int32_t:
        scatter_scaled_f32_i32(w, c, x, columns, n)
    else:
        scatter_scaled_f32_i64(w, c, x, columns, n)


cdef inline floating dot_row(const floating* w, const floating* x, const Columns* at, floating start) noexcept nogil:
    # start + w · x
    if at.narrow != NULL:
        return start + gathered_dot(w, x, at.narrow, at.n, at.narrow, 0)
    if at.wide != NULL:
        return start + gathered_dot(w, x, at.wide, at.n, at.wide, 0)
    return dot(w, x, at.n, start)


cdef enum:
    NARROW = 32             # numbers that are sooner added than a branch that cannot be foreseen is taken


cdef inline bint nothing_to_add(floating c, Py_ssize_t n) noexcept nogil:
    # as at a unit that is off; what c would multiply is finite, as the forward pass has seen
    return n > NARROW and c == <floating>0


cdef inline void add_row(floating* w, floating c, const floating* x, const Columns* at) noexcept nogil:
    # w ← w + c x
    if nothing_to_add(c, at.n):
        return
    if at.narrow != NULL:
        scatter_scaled(w, c, x, at.narrow, at.n)
    elif at.wide != NULL:
        scatter_scaled(w, c, x, at.wide, at.n)
    else:
        add_scaled(w, c, x, at.n)
