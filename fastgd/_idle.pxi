# ------------------------------------------------------------------------------------------------------ idle weights
# At a constant rate what an update does to a weight whose gradient is zero is linear in (w, c, s): c is the momentum
# buffer, or 1 where an L1 penalty is paid, and s the sum of the iterates. So k such updates are a matrix to the power
# k, from its powers of two, when the weight's column is met again. The running means of RMSprop fade by αᵏ.

cdef inline void advance(const double* matrix, double* v) noexcept nogil:
    cdef double w = matrix[0] * v[0] + matrix[1] * v[1]
    cdef double c = matrix[3] * v[0] + matrix[4] * v[1]
    v[2] += matrix[6] * v[0] + matrix[7] * v[1]
    v[0], v[1] = w, c


cdef void one_idle_update(const Method* method, bint summing, double* matrix) noexcept nogil:
    # the rows of w and c, and for s what is added to it
    cdef double rate = method.lr, momentum = method.numbers[0], share = 1 - method.numbers[1]
    matrix[0], matrix[1], matrix[3], matrix[4] = 1, 0, 0, 1
    if method.optimizer == SGD and momentum == 0:
        matrix[0], matrix[1] = kept(method, rate, method.decay), -rate * method.debt
    elif method.optimizer == SGD:
        matrix[3], matrix[4] = share * method.decay, momentum
        matrix[0], matrix[1] = 1 - rate * matrix[3], -rate * momentum
        if method.numbers[2] != 0:          # Nesterov's
            matrix[0] -= rate * momentum * method.decay
            matrix[1] *= momentum
    else:
        matrix[1], matrix[4] = -rate * method.numbers[2], method.numbers[2]
    matrix[6], matrix[7] = summing * matrix[0], summing * matrix[1]


cdef void start_idle(Idle* idle, const Method* method, bint summing) noexcept nogil:
    cdef Py_ssize_t i
    cdef double* next
    cdef double* m
    idle.summing = summing
    idle.fading[0] = method.numbers[0]
    one_idle_update(method, summing, &idle.powers[0][0])
    for i in range(1, POWERS):
        m, next = &idle.powers[i - 1][0], &idle.powers[i][0]
        next[0], next[1] = m[0] * m[0] + m[1] * m[3], m[0] * m[1] + m[1] * m[4]
        next[3], next[4] = m[3] * m[0] + m[4] * m[3], m[3] * m[1] + m[4] * m[4]
        next[6], next[7] = m[6] + m[6] * m[0] + m[7] * m[3], m[7] + m[6] * m[1] + m[7] * m[4]
        idle.fading[i] = idle.fading[i - 1] * idle.fading[i - 1]


cdef inline void idle_and_owing(const Idle* idle, double* v, double* paid, double debt, double step_debt,
                                int64_t k) noexcept nogil:
    # k updates with an L1 penalty, which ends at zero; `debt` is what is owed after all of them
    cdef double sign = 1 if v[0] > 0 else -1
    cdef Py_ssize_t i
    if v[0] == 0:
        return
    v[0] *= idle.powers[0][0]               # the first by itself: it takes all that is owed, whatever was paid so far
    truncate(&v[0], paid, debt - step_debt * (k - 1), 1)
    v[2] += v[0] if idle.summing else 0
    k -= 1
    v[0], v[1], v[2] = sign * v[0], 1, sign * v[2]
    if v[0] > 0:
        for i in range(POWERS - 1, -1, -1):
            if k >> i and idle.powers[i][0] * v[0] + idle.powers[i][1] > 0:
                advance(&idle.powers[i][0], v)
                k -= (<int64_t>1) << i
        paid[0] = -sign * (debt - step_debt * k)
        if k > 0:
            paid[0] -= sign * idle.powers[0][0] * v[0]
            v[0] = 0
    v[0], v[2] = sign * v[0], sign * v[2]


cdef inline void wake(Run* run, floating* params, floating* state, Py_ssize_t column) noexcept nogil:
    # make up for the updates that the column's weights were left out of
    cdef const Method* method = &run.method
    cdef const Idle* idle = &run.idle
    cdef int64_t k = run.counters[UPDATES] - idle.seen[column]
    cdef Py_ssize_t i, output, size = run.net.size, buffer = 0
    cdef floating* w = params + column
    cdef floating* mean
    cdef double[3] v
    cdef double fade = 1
    cdef bint owing = plain(method)
    cdef bint buffered = method.optimizer == SGD or method.numbers[2] > 0
    if k == 0:
        return
    idle.seen[column] = run.counters[UPDATES]
    state += column
    for i in range(POWERS):
        if (k >> i) & 1:
            fade *= idle.fading[i]
    if method.optimizer == RMSPROP:
        buffer = 1 + (method.numbers[3] != 0)
    for output in range(run.net.sizes[1]):
        mean = state + run.mean * size
        v[0], v[1], v[2] = w[0], 0, 0
        if run.mean >= 0:
            v[2] = mean[0]
        if owing:
            idle_and_owing(idle, v, run.paid + (w - params), run.totals[DEBT], method.lr * method.debt, k)
        else:
            if buffered:
                v[1] = state[buffer * size]
            for i in range(POWERS):
                if (k >> i) & 1:
                    advance(&idle.powers[i][0], v)
            if buffered:
                state[buffer * size] = <floating>v[1]
            if method.optimizer == RMSPROP:
                state[0] *= <floating>fade
                if method.numbers[3] != 0:
                    state[size] *= <floating>fade
        w[0] = <floating>v[0]
        if run.mean >= 0:
            mean[0] = <floating>v[2]
        w += run.net.sizes[0]
        state += run.net.sizes[0]


cdef void wake_all(Run* run, floating* params, floating* state) noexcept nogil:
    cdef Py_ssize_t column
    for column in range(run.net.sizes[0]):
        wake(run, params, state, column)


cdef inline void wake_row(Run* run, floating* params, floating* state, const Columns* at) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(at.n):
        wake(run, params, state, column_of(at, i))


cdef inline void end_awake(Run* run, const Now* now, floating* params, floating* state,
                           const Columns* at) noexcept nogil:
    # after the move of the row's columns: the L1 penalty, the sum, and that they have had this update
    cdef Py_ssize_t i, j, output, place
    cdef double debt = run.totals[DEBT] + now.rate * run.method.debt
    cdef floating* sum = state + run.mean * run.net.size
    for i in range(at.n):
        j = column_of(at, i)
        run.idle.seen[j] = run.counters[UPDATES] + 1
        for output in range(run.net.sizes[1]):
            place = output * run.net.sizes[0] + j
            if run.paid != NULL:
                truncate(params + place, run.paid + place, debt, 1)
            if run.idle.summing:
                sum[place] += params[place]
