# ----------------------------------------------------------------------------------------------------------- blocks

cdef enum:
    ROW_PAIRS = ROWS * (ROWS - 1) // 2
    UNITS_BYTES = 16384         # a row's size up to which many units share it


cdef double LEAST_RATE = 1e-30


cdef enum Form:             # of a block's steps, known when compiling
    SIMPLE_STEPS            # w ← w − λ g for unweighted rows at a constant rate, whose targets stand side by side
    USUAL_STEPS             # they may shrink the weights, limit slopes and follow the objective
    ALL_STEPS               # whatever a step may be


cdef struct SimpleSteps:    # a tag for each, for the compiler alone, which makes no form of its own for a number
    char nothing


cdef struct UsualSteps:
    char nothing


cdef struct AllSteps:
    char nothing


ctypedef fused StepsForm:
    SimpleSteps
    UsualSteps
    AllSteps


cdef struct HalfSquare:     # and for the losses that have a loop of their own
    char nothing


cdef struct LogLoss:
    char nothing


cdef struct AnyLoss:
    char nothing


ctypedef fused LossForm:
    HalfSquare
    LogLoss
    AnyLoss


cdef struct Steps:          # of a block. The weights are scale · v
    double[TOGETHER] rate
    double[TOGETHER] keep
    double[TOGETHER] stride     # a row moves w by stride · slope · x (in simple steps by the first of them all),
    double[TOGETHER] factor     # and v by factor · slope · x
    double[TOGETHER] square     # ‖x‖²
    double[TOGETHER] before     # the scale before each step
    double[TOGETHER] after
    double[TOGETHER] summed     # before each step, Σ scale of the iterates in the mean
    double[TOGETHER] value      # of the loss
    double[TOGETHER] product    # w·x
    double[TOGETHER] moved      # stride · slope


cdef struct Made:           # by the blocks so far; beside the compiled loop, so that it need not stand in memory
    int64_t updates
    int64_t averaged        # of them, that are in the mean
    double loss, weight     # Σ weight · loss, Σ weight
    double unweighted       # Σ loss
    double norms, biases    # Σ ‖w‖², Σ b before each step
    double scale, summed, squared_norm


cdef inline bint in_blocks(const Run* run) noexcept nogil:
    # whether rows can be taken several at a time: dense rows, plain SGD
    return run.linear and run.rows.indices == NULL and run.trace == NULL


cdef inline bint one_unit(const Run* run) noexcept nogil:
    return run.net.layers == 1 and run.net.sizes[1] == 1 and not outputs_apart(&run.method)


cdef inline bint together(const Run* run) noexcept nogil:
    return in_blocks(run) and one_unit(run)


cdef inline Form form_of(StepsForm tag) noexcept nogil:
    return SIMPLE_STEPS if StepsForm is SimpleSteps else USUAL_STEPS if StepsForm is UsualSteps else ALL_STEPS


cdef inline Loss loss_of(const Run* run, LossForm tag) noexcept nogil:
    # the loss, of which the compiler knows what the tag says
    cdef Loss loss = run.loss
    if LossForm is HalfSquare:
        loss.code = SQUARED_ERROR
    elif LossForm is LogLoss:
        loss.code = LOG_LOSS
    return loss


cdef inline floating target(const Run* run, const floating* T, Py_ssize_t row, Form form) noexcept nogil:
    return T[row] if form == SIMPLE_STEPS else T[row * run.stride]


cdef inline bint begin_steps(const Run* run, const floating** x, const Block* block, Py_ssize_t size, Form form,
                             const Made* made, Py_ssize_t left, Foreseen* ahead, Steps* steps) noexcept nogil:
    # what a block's steps don't hang on one another for. False if one is visit_rows' own: the scale would be folded, or
    # a row of zeros is passed over
    cdef double scale = made.scale, summed = made.summed, of_loss = run.loss.scale
    cdef bint passive = form == ALL_STEPS and passive_aggressive(&run.method)
    cdef int64_t update = made.updates + 1
    cdef Py_ssize_t k, at = foresee(&run.method, update, run.first, size, left, ahead)
    for k in range(size):
        steps.rate[k], steps.keep[k] = ahead.rate[at + k], ahead.keep[at + k]
    for k in range(size):
        steps.stride[k] = -block.weight[k] * (1 if passive else steps.rate[k] * of_loss)
    for k in range(size):
        steps.before[k] = scale
        scale *= steps.keep[k]
        steps.after[k] = scale
    for k in range(size):
        steps.factor[k] = steps.stride[k] / steps.after[k]
    if run.rules.squares != NULL:
        for k in range(size):
            steps.square[k] = square_of(run, block.row[k])
    if form == ALL_STEPS and (passive or run.method.clip_norm > 0):
        for k in range(size):
            steps.square[k] = dot(x[k], x[k], run.rows.d, 0)
            if steps.square[k] == 0 and run.rules.pass_over_zeros:
                return False
    if form == ALL_STEPS:
        for k in range(size):
            steps.summed[k] = summed
            summed += steps.after[k] if update + k >= run.method.average else 0
    return not too_small(scale)


cdef inline void step_in_block(const Run* run, const Loss* loss, Py_ssize_t k, const Block* block, const floating* T,
                               const floating* g, floating one, Py_ssize_t size, Form form, Point near, Steps* steps,
                               Made* made, floating* m, floating* b, floating* mean, floating* a) noexcept nogil:
    # the k-th step of a block: from m_k, the raw prediction less near_k, come a_k = −λ · weight_k · slope_k / scale and
    # m_i, i > k, b and its mean as the step leaves them. What does not wait for the slope is worked out apart from it;
    # `one` is 0 if there is no bias
    cdef floating slope, moved, moved_bias = b[0], stride, factor, pull
    cdef double shorten
    cdef Py_ssize_t i
    steps.value[k] = loss_beside(loss, near, m[k], target(run, T, block.row[k], form), &slope)
    stride, factor = <floating>steps.stride[k], <floating>steps.factor[k]
    if form == SIMPLE_STEPS:
        stride = factor = <floating>steps.stride[0]
    else:
        slope = limited(slope, <floating>run.rules.slope_limit)
        steps.product[k] = (<floating>near.y + m[k]) - b[0]
    if form == ALL_STEPS:
        made.biases += <double>b[0]
        if passive_aggressive(&run.method):
            slope = aggressive(&run.method, loss.scale * steps.value[k], slope, steps.square[k])
        elif run.method.clip_norm > 0:
            shorten = clipping(run, fabs(block.weight[k] * loss.scale * <double>slope)
                               * sqrt(steps.square[k] + run.net.bias))
            stride, factor = <floating>(steps.stride[k] * shorten), <floating>(steps.factor[k] * shorten)
    a[k], moved = factor * slope, stride * slope
    if form != SIMPLE_STEPS:
        steps.moved[k] = moved
    if form == ALL_STEPS and run.bias_apart:
        move_bias(run, steps.rate[k], moved, b)
        moved_bias, one = b[0] - moved_bias, 0
        for i in range(k + 1, size):
            m[i] += moved_bias
    else:
        b[0] += one * moved
    for i in range(k + 1, size):
        pull = factor * g[i * (i - 1) // 2 + k]
        if form != SIMPLE_STEPS:
            pull *= <floating>steps.before[i]
        m[i] += slope * (pull + one * stride)
    if form == ALL_STEPS and run.mean >= 0 and made.updates + 1 + k >= run.method.average:
        made.averaged += 1
        add_to_mean(mean, b, <double>made.averaged, 1)


cdef inline void end_steps(const Run* run, const Block* block, Py_ssize_t size, const Steps* steps, Made* made,
                           floating* sum_of_iterates, const floating* a, const floating** x, Form form) noexcept nogil:
    # what a block's steps have made of all but the weights
    cdef Py_ssize_t k
    cdef int64_t averaged = made.updates + size + 1 - run.method.average
    cdef floating summed[TOGETHER]
    cdef double gained[TOGETHER]
    made.updates += size
    if form == SIMPLE_STEPS:
        made.weight += size
        for k in range(size):
            made.loss += steps.value[k]
        return
    for k in range(size):
        made.loss += block.weight[k] * steps.value[k]
        made.weight += block.weight[k]
    made.scale = steps.after[size - 1]
    if form == ALL_STEPS and run.mean >= 0 and averaged > 0:
        made.summed = steps.summed[size - 1] + steps.after[size - 1]
        for k in range(size):
            summed[k] = a[k] * <floating>steps.summed[k]
        add_rows(sum_of_iterates, summed, x, size, run.rows.d)
    if run.rules.objective:
        for k in range(size):
            made.unweighted += steps.value[k]
            gained[k] = norm_gained(steps.keep[k], steps.moved[k], steps.product[k], steps.square[k])
        for k in range(size):
            made.norms += made.squared_norm
            made.squared_norm = steps.keep[k] * steps.keep[k] * made.squared_norm + gained[k]


cdef inline Made nothing_made(const Run* run) noexcept nogil:
    cdef Made made
    memset(&made, 0, sizeof(made))
    made.updates, made.averaged = run.counters[UPDATES], run.counters[AVERAGED]
    made.scale, made.summed, made.squared_norm = run.lazy.scale, run.lazy.summed, run.rules.squared_norm
    return made


cdef void end_blocks(Run* run, const Made* made) noexcept nogil:
    run.counters[UPDATES], run.counters[AVERAGED] = made.updates, made.averaged
    run.lazy.scale, run.lazy.summed, run.rules.squared_norm = made.scale, made.summed, made.squared_norm
    run.totals[LOSS] += run.loss.scale * made.loss
    run.totals[WEIGHT] += made.weight
    if run.rules.objective:
        run.totals[UNWEIGHTED] += run.loss.scale * made.unweighted
        run.totals[PENALTY] += price(run, made.norms, made.biases) if priced(run) else 0


cdef inline Py_ssize_t visit_blocks(Run* run, StepsForm tag, LossForm of, const Reading* how, floating* w,
                                    floating* state, const floating* X, const floating* T, const floating* weights,
                                    const int64_t* order, Py_ssize_t start, Py_ssize_t stop,
                                    Py_ssize_t size) noexcept nogil:
    # TOGETHER steps at once, and the same steps: with a_i = −λ_i · weight_i · slope_i, for k = 0, 1, …
    #     y_k = w·x_k + b + Σ_{i<k} a_i (x_i·x_k + 1),   and at the end   w ← w + Σ_i a_i x_i,   b ← b + Σ_i a_i.
    # Where the steps shrink the weights w = scale · v, it is the scale that shrinks, and a_i is divided by it. The
    # weights are moved when the next block is there, and are read once for both. With a tabulated loss the first row of
    # a block may be multiplied `early`, without the last step before it, which is added as within a block: the point of
    # the table is sought meanwhile.
    # Returns the place that it reached. Fewer rows, and a block that begin_steps does not take, are left to visit_rows.
    cdef Form form = form_of(tag)
    cdef Py_ssize_t k, reached = start, d = run.rows.d
    cdef const floating* before[TOGETHER]
    cdef const floating* x[TOGETHER]
    cdef floating m[TOGETHER]
    cdef floating a[TOGETHER]
    cdef floating g[TOGETHER_PAIRS + 1]
    cdef floating one = run.net.bias, b = w[d] if run.net.bias else 0, b_before = b, mean = 0, bias
    cdef bint early = LossForm is LogLoss and size == TOGETHER
    cdef floating* sum_of_iterates = state + run.mean * run.net.size
    cdef Loss loss = loss_of(run, of)
    cdef Point near[TOGETHER]               # point_of the raw predictions at the block's start
    cdef Steps steps
    cdef Foreseen ahead
    cdef Block block
    cdef Made made = nothing_made(run)
    memset(&steps, 0, sizeof(steps))
    ahead.end = 0
    for k in range(size):                               # as if after a block that moved nothing
        before[k], a[k] = w, 0
    if form == ALL_STEPS and run.mean >= 0 and run.net.bias:
        mean = sum_of_iterates[d]
    if form == SIMPLE_STEPS:
        weights, steps.stride[0] = NULL, -run.method.lr * loss.scale
    while next_rows(run, &block, size, weights, order, reached, stop):
        for k in range(size):
            x[k] = X + block.row[k] * d
        if form != SIMPLE_STEPS and not begin_steps(run, x, &block, size, form, &made, stop - reached, &ahead, &steps):
            break
        reached = block.behind[size - 1]
        move_then_multiply(run, how, w, a, before, x, size, X, T, weights, order, reached, stop, early, m, g)
        for k in range(size):
            m[k] = <floating>steps.before[k] * m[k] if form != SIMPLE_STEPS else m[k]
            bias = b_before if early and k == 0 else b
            near[k] = point_of(&loss, m[k] + bias, target(run, T, block.row[k], form))
            if LossForm is HalfSquare:                  # nothing else waits for m
                m[k] += bias - <floating>near[k].y
            else:
                m[k] = (m[k] + bias) - <floating>near[k].y
        if early and form == SIMPLE_STEPS:              # which keep w as it is, and have moved b by a
            m[0] += a[TOGETHER - 1] * (g[TOGETHER_PAIRS] + one)
        elif early:
            m[0] += <floating>steps.before[0] * (a[TOGETHER - 1] * g[TOGETHER_PAIRS]) \
                    + one * <floating>steps.moved[TOGETHER - 1]
        step_in_block(run, &loss, 0, &block, T, g, one, size, form, near[0], &steps, &made, m, &b, &mean, a)
        if size == TOGETHER:
            step_in_block(run, &loss, 1, &block, T, g, one, size, form, near[1], &steps, &made, m, &b, &mean, a)
            b_before = b
            step_in_block(run, &loss, 2, &block, T, g, one, size, form, near[2], &steps, &made, m, &b, &mean, a)
        end_steps(run, &block, size, &steps, &made, sum_of_iterates, a, x, form)
        for k in range(size):
            before[k] = x[k]
    if reached > start:
        add_rows(w, a, before, size, d)
    if run.net.bias:
        w[d] = b
        if form == ALL_STEPS and run.mean >= 0:
            sum_of_iterates[d] = mean
    end_blocks(run, &made)
    return reached


cdef Py_ssize_t visit_short_rows(Run* run, const Reading* how, floating* w, const floating* X, const floating* T,
                                 const int64_t* order, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # simple steps by the slope of a square, four at once: see _short_rows.h. Of the losses only Σ (rate · slope)² is
    # known, which a smaller rate could lose. Returns the place that it reached; fewer rows are left to visit_blocks
    cdef floating rate = <floating>(-run.method.lr * run.loss.scale)
    cdef double squares = 0
    cdef Py_ssize_t reached
    if fabs(<double>rate) < LEAST_RATE:
        return start
    reached = short_steps(run.rows.d, w, rate, run.net.bias, X, T, run.stride, order, start, stop, how.near_ahead,
                          &squares)
    run.counters[UPDATES] += reached - start
    run.totals[LOSS] += run.loss.scale * (squares / (<double>rate * <double>rate) / 2)
    run.totals[WEIGHT] += reached - start
    return reached


cdef Py_ssize_t visit_with_loss(Run* run, StepsForm tag, LossForm of, const Reading* how, floating* w, floating* state,
                                const floating* X, const floating* T, const floating* weights, const int64_t* order,
                                Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    if how.at_once == 1:
        return visit_blocks(run, tag, of, how, w, state, X, T, weights, order, start, stop, 1)
    return visit_blocks(run, tag, of, how, w, state, X, T, weights, order, start, stop, TOGETHER)


cdef inline Py_ssize_t visit_in_form(Run* run, StepsForm tag, const Reading* how, floating* w, floating* state,
                                     const floating* X, const floating* T, const floating* weights,
                                     const int64_t* order, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef HalfSquare half_square = [0]
    cdef LogLoss log_loss = [0]
    cdef AnyLoss any_loss = [0]
    if StepsForm is not AllSteps and run.loss.code <= SQUARED_ERROR:
        return visit_with_loss(run, tag, half_square, how, w, state, X, T, weights, order, start, stop)
    elif StepsForm is not AllSteps and run.loss.code == LOG_LOSS:
        return visit_with_loss(run, tag, log_loss, how, w, state, X, T, weights, order, start, stop)
    return visit_with_loss(run, tag, any_loss, how, w, state, X, T, weights, order, start, stop)


cdef Py_ssize_t visit_together(Run* run, const Reading* how, floating* w, floating* state, const floating* X,
                               const floating* T, const floating* weights, const int64_t* order, Py_ssize_t start,
                               Py_ssize_t stop) noexcept nogil:
    # visit_blocks in the form that the steps need
    cdef SimpleSteps simple = [0]
    cdef UsualSteps usual = [0]
    cdef AllSteps all_of_them = [0]
    if passive_aggressive(&run.method) or run.method.clip_norm > 0 or run.mean >= 0 or run.bias_apart:
        return visit_in_form(run, all_of_them, how, w, state, X, T, weights, order, start, stop)
    elif run.simple and weights == NULL and run.method.schedule == CONSTANT:
        if how.short and run.loss.code <= SQUARED_ERROR:
            start = visit_short_rows(run, how, w, X, T, order, start, stop)
        if run.stride == 1:
            return visit_in_form(run, simple, how, w, state, X, T, weights, order, start, stop)
    return visit_in_form(run, usual, how, w, state, X, T, weights, order, start, stop)
