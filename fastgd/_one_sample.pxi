# ------------------------------------------------------------------------------------------------------- one sample

cdef class Hold:
    """A model's claim by one call at a time. A ``with`` on it cannot be left half done by Ctrl-C, because both its ends
    are in C."""

    cdef readonly object holder      # the thread that has it, or None

    def __enter__(self):
        if self.holder is not None:
            raise RuntimeError("this model is being trained by another thread, or by a call that is not finished")
        self.holder = get_ident()

    def __exit__(self, *exception):
        self.holder = None


cdef class OneSample(Pass):
    """Updates on one sample at a time.

    A call takes what is plainly right and answers None to anything else, with nothing changed; the door then says
    what is wrong with it, or converts it. It keeps the interpreter's lock from its look at ``hold`` to its end, so that
    no other thread comes between.
    """

    cdef bint whole                  # targets are whole numbers
    cdef double lowest, highest
    cdef object dtype
    cdef Hold hold

    def __init__(self, params, state, paid, gradient, work, counters, totals, Py_ssize_t columns, tuple net, tuple loss,
                 tuple method, double lowest, double highest, bint whole, Hold hold):
        rows = params[:0]
        Pass.__init__(self, params, state, paid, gradient, work, counters, totals, rows, None, None,
                      rows.reshape(0, columns), None, net, loss, method, 1)
        plan(&self.run)
        self.lowest, self.highest, self.whole = lowest, highest, whole
        self.dtype, self.hold = params.dtype, hold

    def step(self, x, t):
        """Make one update for the sample x (d,) and target t (K,), or a number; return the loss before it, or None."""
        if self.double_precision:
            return one_step[double](self, x, t, 0)
        return one_step[float](self, x, t, 0)


cdef object one_step(OneSample self, x_given, t_given, floating kind):
    cdef const floating[::1] x, t
    cdef const floating* target
    cdef floating t_single
    cdef Py_ssize_t k
    cdef double loss_before = self.run.totals[LOSS], weight_before = self.run.totals[WEIGHT], value
    cdef bint number = self.run.columns == 1 and isinstance(t_given, (float, int))
    if getattr(x_given, "dtype", None) is not self.dtype:
        return None
    if not number and getattr(t_given, "dtype", None) is not self.dtype:
        return None
    try:
        x = x_given
        if number:
            t_single = t_given
            target = &t_single
        else:
            t = t_given
            if t.shape[0] != self.run.columns:
                return None
            target = &t[0]
    except (BufferError, OverflowError, TypeError, ValueError):
        return None
    if x.shape[0] != self.run.net.sizes[0]:
        return None
    for k in range(self.run.columns):
        if not self.lowest <= <double>target[k] <= self.highest:
            return None
        if self.whole and <double>target[k] != <double><int64_t>target[k]:
            return None
    if self.hold.holder is not None:
        return None
    self.run.totals[LOSS] = self.run.totals[WEIGHT] = 0
    if train_rows(&self.run, <floating*>self.params, <floating*>self.state, <floating*>self.gradient,
                  <floating*>self.work, &x[0], target, <const floating*>NULL, NULL, 0, 1, False, 1, NULL,
                  <floating*>NULL) >= 0:
        self.run.totals[LOSS], self.run.totals[WEIGHT] = loss_before, weight_before
        return None
    value = self.run.totals[LOSS]
    self.run.totals[LOSS], self.run.totals[WEIGHT] = loss_before, weight_before
    return value
