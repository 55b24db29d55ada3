"""Build fastgd._kernels once for each instruction-set level, from one .pyx and one C file.

The environment can narrow or change a build; continuous integration uses it for sanitizers and warnings:
FASTGD_LEVELS (such as "base" or "base,fma"), FASTGD_CFLAGS and FASTGD_LDFLAGS (added after our own),
FASTGD_ABI3=0 (an extension for this Python version only).
"""

import copy
import os
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext as _build_ext

# Every flag has its reason. None of them changes a value, drops a NaN check or touches the process's treatment of
# subnormals, as -ffast-math, -Ofast and -march=native do: those are never used.
FLAGS = {
    "-O3": "unrolls the short fixed loops over lanes, so that the running sums stay in registers",
    "-g0": "no debugging symbols: the wheel is a fifth of the size",
    "-fno-math-errno": "sqrt becomes one instruction; only errno is lost",
    "-fno-trapping-math": "lets the compiler turn branches into selects; only the exception flags are lost",
}
# what is written inline is inlined, however long it is and however much else the file holds
ALWAYS_INLINE = "inline __attribute__((always_inline))"
LEVELS = {  # the same bits on base and avx2; fma fuses multiplications with additions and agrees to rounding
    "base": ["-ffp-contract=off"],
    "avx2": ["-mavx2", "-ffp-contract=off"],
    "fma": ["-mavx2", "-mfma", "-ffp-contract=fast"],
}
MSVC_FLAGS = ["/O2", "/fp:precise"]
MSVC_LEVELS = {"base": [], "avx2": ["/arch:AVX2"], "fma": ["/arch:AVX2", "/fp:contract"]}

X86_64 = sysconfig.get_platform().endswith(("x86_64", "amd64"))  # the target's platform, also when cross-building
ABI3 = os.environ.get("FASTGD_ABI3", "1") == "1" and not sysconfig.get_config_var("Py_GIL_DISABLED")


def levels_to_build():
    """Return the names of the levels that this build makes."""
    asked = os.environ.get("FASTGD_LEVELS", ",".join(LEVELS if X86_64 else ["base"])).split(",")
    if unknown := set(asked) - set(LEVELS):
        raise SystemExit(f"FASTGD_LEVELS: unknown level {', '.join(sorted(unknown))}; allowed are {', '.join(LEVELS)}")
    return asked


class build_ext(_build_ext):
    """Compile each level with its own flags, into its own object directory (they share one C file)."""

    def build_extension(self, ext):
        cmd, ext = copy.copy(self), copy.copy(ext)
        cmd.build_temp = os.path.join(self.build_temp, ext.name)
        level = ext.name.split(".")[-2]
        if self.compiler.compiler_type == "msvc":
            flags = MSVC_FLAGS + MSVC_LEVELS.get(level, [])
        else:
            ext.define_macros = [*ext.define_macros, ("CYTHON_INLINE", ALWAYS_INLINE)]
            flags = list(FLAGS) + LEVELS.get(level, []) + os.environ.get("FASTGD_CFLAGS", "").split()
            ext.extra_link_args = os.environ.get("FASTGD_LDFLAGS", "").split()
        ext.extra_compile_args = flags
        ext.define_macros = [*ext.define_macros, ("FASTGD_FLAGS", f'"{" ".join(flags)}"')]
        _build_ext.build_extension(cmd, ext)


CHAPTERS_IN_C = ("lanes", "blocks", "row_sweep", "short_rows", "unit_blocks", "few_units", "gather")
HEADERS = [f"fastgd/_{name}.h" for name in CHAPTERS_IN_C]
common = {
    "include_dirs": ["fastgd"],
    "py_limited_api": ABI3,
    "define_macros": [("Py_LIMITED_API", "0x030B0000")] if ABI3 else [],
}
cpu, kernels = cythonize(
    [
        Extension("fastgd._cpu", ["fastgd/_cpu.pyx"], **common),
        Extension("fastgd._kernels", ["fastgd/_kernels.pyx"], depends=HEADERS, **common),
    ],
    compiler_directives={
        "language_level": "3",
        "boundscheck": False,
        "wraparound": False,
        "cdivision": True,
        "initializedcheck": False,
        "freethreading_compatible": True,
        "autotestdict": False,
    },
    show_all_warnings=False,
)
setup(
    ext_modules=[cpu]
    + [
        Extension(f"fastgd._isa.{level}._kernels", kernels.sources, depends=kernels.depends, **common)
        for level in levels_to_build()
    ],
    cmdclass={"build_ext": build_ext},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
)
