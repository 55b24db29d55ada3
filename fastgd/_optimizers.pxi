# ------------------------------------------------------------------------------------------------------- optimizers
# An optimizer is a struct of the numbers that one update needs, and a branch of `move`, which moves one coordinate by
# its gradient g. The struct's type is resolved when compiling; two loops, over a whole row and over the columns that a
# sparse row names, serve all of them. A coordinate's state stands at state[0], state[size], … in torch's order.

cpdef enum OptimizerCode:
    SGD
    ADAM
    ADAMW
    ADAGRAD
    RMSPROP
    FTRL


cpdef enum AdamKind:
    ORDINARY
    AMSGRAD                 # by the largest second moment so far
    LAZY                    # a coordinate whose gradient is zero is skipped


cdef struct PlainRule:
    double rate
    double keep             # 1 − λ · decay


cdef struct MomentumRule:
    double rate, momentum, share            # share: 1 − dampening, but 1 in the first update
    bint nesterov


cdef struct AdamRule:
    AdamKind kind
    double rate, share1, beta2, share2      # the shares: 1 − β
    double epsilon                          # times the root of the second bias correction, as is the rate
    double keep                             # 1 − λ · decay where that is decoupled from the gradient


cdef struct AdagradRule:
    double rate, epsilon


cdef struct RmspropRule:
    bint centered           # by the variance of the gradient
    double rate, alpha, share, epsilon
    double momentum


cdef struct FtrlRule:
    double rate, beta, l1, l2


ctypedef fused Rule:
    PlainRule
    MomentumRule
    AdamRule
    AdagradRule
    RmspropRule
    FtrlRule


cdef inline floating root(floating x) noexcept nogil:
    if floating is double:
        return sqrt(x)
    else:
        return sqrtf(x)


cdef inline void move(Rule rule, floating* w, floating* state, Py_ssize_t size, floating g) noexcept nogil:
    cdef floating* first = state
    cdef floating* second = state + size
    cdef floating* third = state + 2 * size
    cdef floating size_of_step, below
    if Rule is PlainRule:
        w[0] = <floating>rule.keep * w[0] - <floating>rule.rate * g
    elif Rule is MomentumRule:
        first[0] = <floating>rule.momentum * first[0] + <floating>rule.share * g
        w[0] -= <floating>rule.rate * (g + <floating>rule.momentum * first[0] if rule.nesterov else first[0])
    elif Rule is AdamRule:
        if rule.kind == LAZY and g == <floating>0:
            return
        first[0] += <floating>rule.share1 * (g - first[0])
        second[0] = <floating>rule.beta2 * second[0] + <floating>rule.share2 * g * g
        g = second[0]
        if rule.kind == AMSGRAD:
            g = third[0] = third[0] if third[0] > second[0] else second[0]
        size_of_step = first[0] / (root(g) + <floating>rule.epsilon)
        w[0] = <floating>rule.keep * w[0] - <floating>rule.rate * size_of_step
    elif Rule is AdagradRule:
        first[0] += g * g
        w[0] -= <floating>rule.rate * (g / (root(first[0]) + <floating>rule.epsilon))
    elif Rule is RmspropRule:
        first[0] = <floating>rule.alpha * first[0] + <floating>rule.share * g * g
        below = first[0]
        if rule.centered:
            second[0] += <floating>rule.share * (g - second[0])
            below -= second[0] * second[0]
            below = below if below > <floating>0 else <floating>0
            second = third
        size_of_step = g / (root(below) + <floating>rule.epsilon)
        if rule.momentum > 0:
            size_of_step = second[0] = <floating>rule.momentum * second[0] + size_of_step
        w[0] -= <floating>rule.rate * size_of_step
    else:
        size_of_step = root(second[0] + g * g)
        first[0] += g - (size_of_step - root(second[0])) / <floating>rule.rate * w[0]
        second[0] += g * g
        below = <floating>rule.l1 if first[0] > <floating>0 else -<floating>rule.l1
        w[0] = (below - first[0]) / ((<floating>rule.beta + size_of_step) / <floating>rule.rate + <floating>rule.l2)
        if -<floating>rule.l1 <= first[0] <= <floating>rule.l1:
            w[0] = 0


cdef inline void move_dense(Rule rule, floating* w, floating* state, Py_ssize_t size, floating factor,
                            const floating* direction, floating decay, Py_ssize_t n) noexcept nogil:
    # by the gradient factor · direction + decay · w
    cdef Py_ssize_t j
    for j in range(n):
        move(rule, &w[j], &state[j], size, factor * direction[j] + decay * w[j])


cdef inline void move_sparse(Rule rule, floating* w, floating* state, Py_ssize_t size, floating factor,
                             const floating* x, const index_t* columns, floating decay, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        j = columns[i]
        move(rule, &w[j], &state[j], size, factor * x[i] + decay * w[j])


# ----------------------------------------------------------------------------------------------------------- method
# How the parameters move: an optimizer, the schedule of its rate, a penalty. `Now` is all of it for one update.

cpdef enum ScheduleCode:
    CONSTANT
    OPTIMAL
    INVSCALING
    PA1
    PA2
    TABLE                           # a rate for each update, made before the pass


cdef struct Method:
    OptimizerCode optimizer
    double lr
    double[4] numbers               # the optimizer's own
    ScheduleCode schedule
    double[2] schedule_numbers
    const double* rates             # the table, from the pass's first update on
    double decay, bias_decay        # of weights and of biases: weight decay or an L2 penalty
    bint clamp                      # keep 1 − λ · decay from falling below zero
    const double* lr_factors        # of each output of a linear model, or NULL
    const double* decays            # of the weights of each output, and then of the biases, with their factors; or NULL
    double debt, bias_debt          # an L1 penalty, for a rate of one
    int64_t average                 # the update from which iterates are averaged, or 0
    double clip_value               # 0 for none
    double clip_norm


cdef struct Now:                    # one update
    double rate
    PlainRule plain
    PlainRule plain_bias
    MomentumRule momentum
    AdamRule adam
    AdagradRule adagrad
    RmspropRule rmsprop
    FtrlRule ftrl


cdef inline void rates_by_schedule(const Method* method, int64_t t, int64_t first, Py_ssize_t size,
                                   double* rates_out) noexcept nogil:
    # see rates_of; each formula in a loop of its own, which the compiler takes several turns of at once here, and in
    # rates_of itself would not
    cdef double at = t, power_of_t = method.schedule_numbers[0]
    cdef int k                                      # of which the compiler makes doubles by fours
    for k in range(size):
        rates_out[k] = method.lr                    # passive-aggressive: the aggressiveness
    if method.schedule == TABLE:
        for k in range(size):
            rates_out[k] = method.rates[t + k - 1 - first]
    elif method.schedule == OPTIMAL:
        for k in range(size):
            rates_out[k] = 1 / (method.schedule_numbers[0] * (method.schedule_numbers[1] + (at + k) - 1))
    elif method.schedule == INVSCALING and power_of_t == 0.5:
        for k in range(size):
            rates_out[k] /= sqrt(at + k)
    elif method.schedule == INVSCALING and power_of_t == 0.25:
        for k in range(size):
            rates_out[k] /= sqrt(sqrt(at + k))
    elif method.schedule == INVSCALING:
        for k in range(size):
            rates_out[k] /= power(at + k, power_of_t)


cdef inline void rates_of(const Method* method, int64_t t, int64_t first, Py_ssize_t size,
                          double* rates_out) noexcept nogil:
    # the learning rates of updates t, t + 1, …, where t is 1, 2, …; a table begins at update `first` + 1
    cdef Py_ssize_t k
    if method.schedule == CONSTANT:
        for k in range(size):
            rates_out[k] = method.lr
    else:
        rates_by_schedule(method, t, first, size, rates_out)


cdef inline double rate_of(const Method* method, int64_t t, int64_t first) noexcept nogil:
    cdef double rate
    rates_of(method, t, first, 1, &rate)
    return rate


cdef enum:
    FORESEEN = 48           # updates of which the rates are worked out at once


cdef struct Foreseen:       # rates of updates to come, so that few of their roots and quotients are waited for
    double[FORESEEN] rate
    double[FORESEEN] keep   # by which they shrink the weights
    int64_t begin, end      # from which update on, and up to which


cdef inline Py_ssize_t foresee(const Method* method, int64_t update, int64_t first, Py_ssize_t count, Py_ssize_t left,
                               Foreseen* ahead) noexcept nogil:
    # where in `ahead` the rates of `count` updates from this one on are. No more than `left` rows can come; of these
    # some may make no update, and a table may end before
    if update + count > ahead.end:
        foresee_more(method, update, first, count if method.schedule == TABLE else min(<Py_ssize_t>FORESEEN, left),
                     ahead)
    return update - ahead.begin


cdef void foresee_more(const Method* method, int64_t update, int64_t first, Py_ssize_t count,
                       Foreseen* ahead) noexcept nogil:
    cdef Py_ssize_t k
    rates_of(method, update, first, count, ahead.rate)
    for k in range(count):
        ahead.keep[k] = kept(method, ahead.rate[k], method.decay)
    ahead.begin, ahead.end = update, update + count


cdef void prepare(const Method* method, int64_t t, int64_t first, double* powers, Now* now) noexcept nogil:
    # update t = 1, 2, …; `powers` are β₁ and β₂ to the power t − 1, and are brought to t
    cdef double rate = rate_of(method, t, first), correction
    cdef const double* numbers = &method.numbers[0]
    now.rate = rate
    if method.optimizer == SGD:
        now.plain.rate = now.plain_bias.rate = 1 if passive_aggressive(method) else rate
        now.plain.keep, now.plain_bias.keep = kept(method, rate, method.decay), kept(method, rate, method.bias_decay)
        now.momentum.rate, now.momentum.momentum, now.momentum.nesterov = rate, numbers[0], numbers[2] != 0
        now.momentum.share = 1 if t == 1 else 1 - numbers[1]
    elif method.optimizer == ADAM or method.optimizer == ADAMW:
        powers[0] *= numbers[0]
        powers[1] *= numbers[1]
        correction = sqrt(1 - powers[1])
        now.adam.kind = <AdamKind>(<int>numbers[3])
        now.adam.rate, now.adam.share1 = rate * correction / (1 - powers[0]), 1 - numbers[0]
        now.adam.beta2, now.adam.share2 = numbers[1], 1 - numbers[1]
        now.adam.epsilon = numbers[2] if now.adam.kind == LAZY else numbers[2] * correction     # as torch's SparseAdam
        now.adam.keep = 1
    elif method.optimizer == ADAGRAD:
        now.adagrad.rate, now.adagrad.epsilon = rate / (1 + (t - 1) * numbers[0]), numbers[1]
    elif method.optimizer == RMSPROP:
        now.rmsprop.rate, now.rmsprop.alpha, now.rmsprop.share = rate, numbers[0], 1 - numbers[0]
        now.rmsprop.epsilon, now.rmsprop.momentum, now.rmsprop.centered = numbers[1], numbers[2], numbers[3] != 0
    else:
        now.ftrl.rate, now.ftrl.beta, now.ftrl.l1, now.ftrl.l2 = rate, numbers[0], numbers[1], numbers[2]


cdef void move_block(const Method* method, const Now* now, bint weights, floating* w, floating* state,
                     Py_ssize_t size, floating factor, const floating* direction, Py_ssize_t n) noexcept nogil:
    # one update of n neighbouring parameters, weights or biases, by the gradient factor · direction
    cdef floating decay = <floating>(method.decay if weights else method.bias_decay)
    cdef PlainRule plain_rule
    cdef AdamRule adam
    cdef FtrlRule ftrl
    if plain(method):
        plain_rule = now.plain if weights else now.plain_bias
        if plain_rule.keep != 1:
            move_dense(plain_rule, w, state, size, factor, direction, <floating>0, n)
        elif not nothing_to_add(factor, n):
            add_scaled(w, -<floating>plain_rule.rate * factor, direction, n)
    elif method.optimizer == SGD:
        move_dense(now.momentum, w, state, size, factor, direction, decay, n)
    elif method.optimizer == ADAM or method.optimizer == ADAMW:
        adam = now.adam
        if method.optimizer == ADAMW:
            adam.keep = 1 - now.rate * <double>decay
            decay = 0
        if adam.kind == ORDINARY:           # a constant that the compiler sees
            adam.kind = ORDINARY
            move_dense(adam, w, state, size, factor, direction, decay, n)
        else:
            move_dense(adam, w, state, size, factor, direction, decay, n)
    elif method.optimizer == ADAGRAD:
        move_dense(now.adagrad, w, state, size, factor, direction, decay, n)
    elif method.optimizer == RMSPROP:
        move_dense(now.rmsprop, w, state, size, factor, direction, decay, n)
    else:
        ftrl = now.ftrl
        if not weights:
            ftrl.l1 = ftrl.l2 = 0
        move_dense(ftrl, w, state, size, factor, direction, <floating>0, n)


cdef inline double whole_power(double x, int64_t n) noexcept nogil:
    # x^n by squaring
    cdef double result = 1
    while n > 0:
        if n & 1:
            result *= x
        x *= x
        n >>= 1
    return result


cdef inline bint passive_aggressive(const Method* method) noexcept nogil:
    return method.schedule == PA1 or method.schedule == PA2


cdef inline bint plain(const Method* method) noexcept nogil:
    return method.optimizer == SGD and method.numbers[0] == 0


cdef inline double kept(const Method* method, double rate, double decay) noexcept nogil:
    cdef double keep = 1 - rate * decay
    return 0 if method.clamp and keep < 0 else keep
