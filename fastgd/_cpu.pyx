"""Which instruction-set levels this CPU and its operating system can run."""

cdef extern from *:
    """
    #if defined(_M_X64) && !defined(__clang__)
    #include <intrin.h>
    #include <immintrin.h>
    static int fastgd_avx2_fma(void) {
        int r[4], fma;
        __cpuid(r, 0);
        if (r[0] < 7) return 0;
        __cpuidex(r, 1, 0);
        if (!(r[2] & (1 << 27)) || !(r[2] & (1 << 28))) return 0;    /* OSXSAVE, AVX */
        fma = (r[2] >> 12) & 1;
        if ((_xgetbv(0) & 6) != 6) return 0;                         /* the system saves the wide registers */
        __cpuidex(r, 7, 0);
        return ((r[1] >> 5) & 1) | (fma << 1);
    }
    #elif defined(__x86_64__)
    static int fastgd_avx2_fma(void) {
        __builtin_cpu_init();
        return (__builtin_cpu_supports("avx2") ? 1 : 0) | (__builtin_cpu_supports("fma") ? 2 : 0);
    }
    #else
    static int fastgd_avx2_fma(void) { return 0; }
    #endif
    """
    int fastgd_avx2_fma() noexcept nogil


def runnable_levels():
    """Return the names of the levels that this CPU can run, the fastest first."""
    cdef int have = fastgd_avx2_fma()
    return (["fma"] if have == 3 else []) + (["avx2"] if have & 1 else []) + ["base"]
