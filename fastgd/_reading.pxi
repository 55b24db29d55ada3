# ---------------------------------------------------------------------------------------------------------- reading
# How the rows of a pass are read where several are at hand, and what comes later is asked for. That is as was best on
# two processors, and changes no sum: a Zen 4, and an Intel Xeon with 48 kB of first and 2 MB of second level, as which
# all others are taken.

cdef extern from *:
    """
    #if defined(__GNUC__) && defined(__x86_64__)
    static int of_amd(void) { __builtin_cpu_init(); return __builtin_cpu_is("amd") != 0; }
    /* registers of 64 bytes that don't slow the clock: those from Ice Lake on */
    static int has_wide(void) { __builtin_cpu_init(); return __builtin_cpu_supports("avx512vbmi2") != 0; }
    #else
    static int of_amd(void) { return 0; }
    static int has_wide(void) { return 0; }
    #endif
    """
    bint of_amd() noexcept nogil
    bint has_wide() noexcept nogil


cdef bint AS_AMD = of_amd()
cdef bint HAS_WIDE = has_wide()


def read_as_amd(bint yes):
    """Read rows as is best on AMD's processors, or as on others; return how they were read before."""
    global AS_AMD
    before = AS_AMD
    AS_AMD = yes
    return before


cdef enum:
    ROWS = 2 * BLOCK            # at once in networks whose weights leave the first level of cache, else BLOCK
    SWEPT_FROM_BYTES = 2560     # from which and up to which rows from the caches are taken one by one: two of them and
    SWEPT_BYTES = 10922         # the weights fit into the first level
    FULL_BYTES = 16384          # up to here, where one of them and the weights fill it, in two passes
    FAR_BYTES = 1 << 24         # of an X that comes from memory,
    SHARED_BYTES = 1 << 23      # or in part, where others use the third level too
    APART_BYTES = 512           # from which and up to which its rows, in order, are multiplied and added in two passes:
    HELD_BYTES = 1 << 18        # the hardware foresees one stream better than several
    LONG_BYTES = 8192           # of a row that it does not foresee well enough into the first level
    PLACED_ROWS = 8             # from which on a copy of the weights pays
    PAGE_BYTES = 4096           # what differs by whole pages shares a set of the first level
    NEAR_AHEAD_BYTES = 2048     # how far ahead rows in order are asked for into the first level of cache,
    NEXT_AHEAD_BYTES = 512      # or, where they are long, come from memory and leave room there, so far,
    FAR_AHEAD_BYTES = 1 << 15   # and from memory into the second
    SHORT_BYTES = 128           # of rows from afar in random order of which so many ahead are asked for, into the
    MANY_AHEAD = 36             # second level; of longer ones, on AMD's processors,
    FEW_AHEAD = 24              # so many, and again at half the distance where X is of more than
    AGAIN_BYTES = 1 << 25
    LATER = 16                  # how many rows ahead all others are asked for, on AMD's again at half the distance;
    MOST_BYTES = 16384          # so much of a row at most


cdef struct Block:
    Py_ssize_t[ROWS] row
    Py_ssize_t[ROWS] behind         # the place behind each row in the order
    double[ROWS] weight


cdef struct Reading:        # how the rows of a pass are read
    Py_ssize_t at_once      # TOGETHER, or 1 where they are swept or apart
    bint apart              # multiplied and added in two passes
    bint shuffled           # from afar in random order: waiting for them would take longer than the steps;
    int blocks              # so many are asked for into the second level
    Py_ssize_t near_ahead   # how far ahead rows in order are asked for into the first level, or 0,
    Py_ssize_t far_ahead    # into the second,
    Py_ssize_t behind       # and so while one that is apart is added: memory is never left waiting
    bint wide               # those taken one by one go through registers of 64 bytes
    bint short              # they are so short that they can be taken four at once: see visit_short_rows


cdef inline Reading reading(const Run* run, bint shuffled) noexcept nogil:
    # how many rows are taken at once decides how sums are rounded, and is the same on all processors
    cdef Py_ssize_t size = run.rows.d * run.itemsize, whole = size * run.rows.n
    cdef bint far = whole > FAR_BYTES
    cdef Reading how
    how.shuffled = shuffled and whole > NEAR_BYTES
    how.apart = (not how.shuffled and size >= (APART_BYTES if far else SWEPT_BYTES)
                 and size <= (HELD_BYTES if far else FULL_BYTES))
    how.at_once = 1 if how.apart or SWEPT_FROM_BYTES <= size <= SWEPT_BYTES and not how.shuffled else TOGETHER
    how.near_ahead = 0
    how.wide = HAS_WIDE and not AS_AMD
    how.short = size <= SHORT_ROW_BYTES and not how.shuffled
    if AS_AMD:
        how.blocks = 2 if whole > AGAIN_BYTES and size > SHORT_BYTES else 1
        how.far_ahead = FAR_AHEAD_BYTES if whole > (SHARED_BYTES if how.at_once == TOGETHER else FAR_BYTES) else 0
        how.behind = max(size, how.far_ahead) if whole > NEAR_BYTES else 0
        if how.at_once == TOGETHER:
            how.near_ahead = NEAR_AHEAD_BYTES if size <= FULL_BYTES else 0  # of longer rows the first level is full
        elif size >= LONG_BYTES and (far or not how.apart):
            how.near_ahead = NEXT_AHEAD_BYTES if how.apart and size <= FULL_BYTES else NEAR_AHEAD_BYTES
        return how
    how.apart = False               # the hardware foresees several streams, into the second level
    how.blocks, how.far_ahead, how.behind = 1, 0, 0
    if how.at_once == 1 or size < FULL_BYTES:
        how.near_ahead = NEAR_AHEAD_BYTES
    how.shuffled = how.shuffled and size < LONG_BYTES
    return how


cdef inline floating* placed(const Run* run, const Reading* how, floating* params, const floating* X, Py_ssize_t rows,
                             floating* room) noexcept nogil:
    # the parameters, or if rows are many, a copy in `room`: where a row of X and they fill the first level of cache, on
    # a cache line and a quarter of a page from where rows of whole pages begin, so that they don't push each other out;
    # and where rows from afar begin between parts, so that they do as well
    cdef Py_ssize_t size = run.rows.d * run.itemsize
    cdef size_t line = <size_t>X // LINE_BYTES * LINE_BYTES, start = <size_t>room
    if rows < PLACED_ROWS:
        return params
    elif SWEPT_BYTES < size <= FULL_BYTES:
        start += (line + PAGE_BYTES // 4 - start) % PAGE_BYTES
    elif how.at_once == TOGETHER and (how.shuffled or how.far_ahead > 0) and between_parts(X, run.rows.d):
        start += (<size_t>X - start) % 32
    else:
        return params
    memcpy(<void*>start, params, run.net.size * sizeof(floating))
    return <floating*>start


cdef inline void ask_for_weight(const Run* run, const floating* weights, Py_ssize_t row) noexcept nogil:
    if weights != NULL:
        PREFETCH_FAR(weights + row)


cdef inline const char* ask_for_row(const Run* run, const floating* X, const floating* T, const floating* weights,
                                    Py_ssize_t row) noexcept nogil:
    # for its end, which may be in one more line, and for its target: see ask_ahead; returns where it begins
    PREFETCH_FAR(X + (row + 1) * run.rows.d - 1)
    for _ in range(2 if AS_AMD else 1):
        PREFETCH_FAR(T + row * run.stride)
        ask_for_weight(run, weights, row)
    return <const char*>(X + row * run.rows.d)


cdef inline bint next_rows(const Run* run, Block* block, Py_ssize_t size, const floating* weights,
                           const int64_t* order, Py_ssize_t place, Py_ssize_t stop) noexcept nogil:
    # the next rows that are to be visited; False if there are fewer than `size` of them
    cdef Py_ssize_t count = 0, row
    if place + size > stop:
        return False
    if weights == NULL:
        for count in range(size):
            block.row[count] = order[place + count] if order != NULL else place + count
            block.behind[count], block.weight[count] = place + count + 1, 1
        return True
    while count < size and place < stop:
        row = order[place] if order != NULL else place
        place += 1
        block.row[count], block.behind[count], block.weight[count] = row, place, weights[row]
        count += block.weight[count] != 0 or run.rules.visit_zero_weight
    return count == size


cdef inline void move_then_multiply(const Run* run, const Reading* how, floating* w, const floating* a,
                                    const floating** before, const floating** x, Py_ssize_t size, const floating* X,
                                    const floating* T, const floating* weights, const int64_t* order, Py_ssize_t place,
                                    Py_ssize_t stop, bint early, floating* m_out, floating* g_out) noexcept nogil:
    # w ← w + Σ_i a_i x_i over the rows of the block before, then m and g of this one, while others are asked for. See
    # move_and_sum for `early`, which is for several rows
    cdef Py_ssize_t k, row, d = run.rows.d, ahead
    cdef bint in_order
    cdef const char* near[TOGETHER]
    cdef const char* far[2 * TOGETHER]
    if size == 1 and how.apart:
        m_out[0] = add_then_dot(w, a[0], before[0], x[0], d, how.behind, how.near_ahead, how.far_ahead)
    elif size == 1:
        in_order = order == NULL or how.near_ahead and order[min(place, stop - 1)] == order[place - 1] + 1
        m_out[0] = row_sweep(w, a[0], before[0], x[0], d, how.near_ahead if in_order else 0, how.wide)
    elif order == NULL and how.near_ahead:
        for k in range(TOGETHER):
            near[k] = <const char*>x[0] + k * LINE_BYTES + how.near_ahead
            far[k] = <const char*>x[0] + k * LINE_BYTES + how.far_ahead
        move_and_sum(w, a, before, x, d, m_out, g_out, early, near, far, how.far_ahead > 0, TOGETHER * LINE_BYTES)
    elif how.shuffled:
        ahead = FEW_AHEAD if AS_AMD and d * run.itemsize > SHORT_BYTES else MANY_AHEAD
        PREFETCH(order + min(place + 2 * MANY_AHEAD, stop - 1))
        for k in range(TOGETHER):
            row = order[min(place + k, stop - 1)]
            near[k] = <const char*>(X + row * d)
            PREFETCH(X + (row + 1) * d - 1)             # it may end in one more line
            far[k] = ask_for_row(run, X, T, weights, order[min(place + ahead + k, stop - 1)])
            if how.blocks == 2:
                far[TOGETHER + k] = ask_for_row(run, X, T, weights, order[min(place + ahead // 2 + k, stop - 1)])
        move_and_sum(w, a, before, x, d, m_out, g_out, early, near, far, how.blocks, LINE_BYTES)
    else:
        move_and_sum(w, a, before, x, d, m_out, g_out, early, NULL, NULL, 0, 0)


# ------------------------------------------------------------------------------- of all but dense rows of one output

cdef inline void ask_for(const void* begin, Py_ssize_t size) noexcept nogil:
    # of long rows for a part: the whole would push out what is asked for before
    cdef size_t at = <size_t>begin // LINE_BYTES * LINE_BYTES, end = <size_t>begin + min(size, MOST_BYTES)
    while at < end:
        PREFETCH_FAR(<const void*>at)
        at += LINE_BYTES


cdef inline void ask_for_numbers(const Run* run, const floating* X, Py_ssize_t row) noexcept nogil:
    # of the row, and where they stand
    cdef Columns at
    cdef Py_ssize_t begin = row_at(run.rows, row, &at)
    ask_for(X + begin, at.n * sizeof(floating))
    if sparse(&at):
        ask_for(at.narrow if at.narrow != NULL else <const void*>at.wide, at.n * index_size(&run.rows))


cdef inline bint unforeseen(const Run* run, const int64_t* order, Py_ssize_t at_once) noexcept nogil:
    # whether rows come from afar that the processor does not foresee by itself: those in random order, or on a Zen 4
    # several long ones at once
    cdef Py_ssize_t size = run.rows.d * run.itemsize, whole = run.rows.n * size
    if run.rows.indices != NULL:
        whole = begin_of(&run.rows, run.rows.n) * (run.itemsize + index_size(&run.rows))
    if order != NULL:
        return whole > NEAR_BYTES
    return AS_AMD and at_once > 1 and size >= APART_BYTES and whole > SHARED_BYTES


cdef void ask_for_later(const Run* run, const floating* X, const floating* T, const floating* weights,
                        const int64_t* order, Py_ssize_t place, Py_ssize_t stop) noexcept nogil:
    # the row that comes LATER places behind this, and again the one half as far where some of what is asked for is
    # dropped: see ask_ahead. Written in place it makes the loops that call it slower, also where they don't
    cdef Py_ssize_t later, row
    if run.rows.indices != NULL and place + 2 * LATER < stop:
        PREFETCH_FAR(<const char*>run.rows.indptr + order[place + 2 * LATER] * index_size(&run.rows))
    for again in range(2 if AS_AMD else 1):
        later = place + (LATER // 2 if again else LATER)
        if later < stop:
            row = order[later] if order != NULL else later
            ask_for_numbers(run, X, row)
            ask_for(T + row * run.stride, run.stride * sizeof(floating))
            ask_for_weight(run, weights, row)
