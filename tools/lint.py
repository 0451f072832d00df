"""What tools/lint does: runs analysers over the tree and prints what they find, less the exceptions below.

Each C file is looked at once, as it is built in float32. A tool that is not installed is named and counts as a failure.
"""
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/lint"
FINDING = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+)(:\d+)?: (?P<kind>warning|error|performance|portability): "
                     r"(?P<text>.*?) \[(?P<check>[^\]]+)\]$")

# Findings that are wrong or harmless: tool, files, check, why.
NO_DIMENSION = "it takes loops over the dimension to run no times, or more than three times; the dimension is 2 or 3"
EXCEPTIONS = (
    ("clang-tidy", "*", "clang-analyzer-core.uninitialized.Assign", NO_DIMENSION),
    ("clang-tidy", "*", "clang-analyzer-core.UndefinedBinaryOperatorResult", NO_DIMENSION),
    ("clang-tidy", "*", "clang-analyzer-core.CallAndMessage", NO_DIMENSION),
    ("clang-tidy", "src/ops/lattice_formula.h", "clang-analyzer-core.DivideZero", "only a lattice with sites gets here"),
    ("clang-tidy", "*gas.h", "clang-analyzer-core.NullDereference", "a failed list ends the check before"),
    ("clang-tidy", "src/learn/scores.c", "clang-analyzer-unix.Malloc", "the caller's space_release has them"),
    ("clang-tidy", "src/checks/graphs.h", "clang-analyzer-core.NullDereference", NO_DIMENSION),
    ("clang-tidy", "src/dynamics/failure.c", "clang-analyzer-unix.Malloc", "release_state of the caller has them"),
    ("clang-tidy", "src/entropy/interface.c", "clang-analyzer-unix.Malloc", "the caller frees what there is"),
    ("clang-tidy", "src/base/fault.c", "*reserved-identifier*", "names that the linker gives (--wrap)"),
    ("clang-tidy", "src/base/fault.c", "cert-err34-c", "an environment that tools/verify inject makes"),
    ("clang-tidy", "src/commands/training_data.c", "bugprone-suspicious-memory-comparison", "the same bits are asked for"),
    ("clang-tidy", "src/commands/training_data.c", "bugprone-sizeof-expression", "an array of pointers"),
    ("clang-tidy", "src/commands/training_data.c", "cert-err34-c", "a text of the program's own, under a checksum"),
    ("clang-tidy", "src/space/comm.c", "bugprone-sizeof-expression", "MPI_Request is a pointer in Open MPI"),
    ("fanalyzer", "src/dynamics/failure.c", "-Wanalyzer-null-dereference", NO_DIMENSION),
    ("clang-tidy", "tests/*", "clang-analyzer-*", "a test ends at the first assertion that fails; this clang does not "
     "know that cmocka's do not return"),
    ("clang-tidy", "tests/*", "cert-e*", "commands and numbers of the test's own making"),
    ("clang-tidy", "tests/*", "bugprone-sizeof-expression", "an array of pointers"),
    ("cppcheck", "tests/*", "negativeIndex", "asserted not to be negative before"),
    ("cppcheck", "*", "invalidPointerCast", "one block of memory for arrays of several types, aligned to the largest; "
     "a column of integers that is read into and used as one of reals after"),
    ("cppcheck", "*", "nullPointerArithmeticRedundantCheck", "parts of a block are named before it is known to be there, "
     "and used after; what a compiler makes of it is watched by UBSan"),
    ("cppcheck", "*", "compareBoolExpressionWithInt", "a loop from 0 to a bool, inclusive"),
    ("cppcheck", "*", "internalAstError", "cppcheck 2.10 does not read `? :` with compound literals"),
    ("cppcheck", "*", "uninitvar", "`a = b[i] = ...` sets both; " + NO_DIMENSION),
    ("fanalyzer", "src/space/halo.c", "*possible-null*", "halo_is_valid, a predicate of debug builds"),
    ("fanalyzer", "src/checks/*", "*possible-null*", "small arrays of `epflow check`, which ends with a fault where "
     "there is no memory for them"),
    ("fanalyzer", "*/checks/*.h", "*possible-null*", "the same"),
    ("fanalyzer", "*", "-Wanalyzer-malloc-leak", "members of a structure that its owner releases; LeakSanitizer looks"),
    ("fanalyzer", "*", "-Wanalyzer-file-leak", "of a table of fields: closed in a condition before, on the rank that opened it"),
)
# Of gcc 12, in C: arrays that loops fill and unions by memcpy are uninitialised to it (valgrind and clang's analyser
# look); shifts of SIMD registers are taken for shifts of their number of lanes.
ANALYZER = ["-fanalyzer", "-DEPFLOW_ANALYSIS", "-Wno-analyzer-use-of-uninitialized-value",
            "-Wno-analyzer-shift-count-overflow", "-Wno-unused-value", "-Wno-error", "-O0",
            "-fdiagnostics-plain-output", "-o", "/dev/null"]


def compile_commands():
    """Of each source file the first, in a folder of its own for the tools that read such a file."""
    subprocess.run(["cmake", "-S", ROOT, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O1",
                    "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DBUILD_TESTING=ON", "-DCMAKE_CUDA_COMPILER=NOTFOUND",
                    "-DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", "revision"], check=True, stdout=subprocess.DEVNULL)
    first = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        if entry["file"].endswith(".c"):
            first.setdefault(entry["file"], entry)
    once = BUILD / "once"
    once.mkdir(exist_ok=True)
    (once / "compile_commands.json").write_text(json.dumps(list(first.values())))
    return once, list(first.values())


def source_name(name):
    """A file's name in the tree; headers are reached through links (cmake/Layers.cmake)."""
    path = pathlib.Path(name)
    path = path if path.is_absolute() else ROOT / path
    return os.path.relpath(path.resolve(), ROOT)


def said(command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def each(jobs, one):
    """Findings of all jobs, as many at a time as there are processors."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return len(jobs), "".join(text for _, text in pool.map(one, jobs))


def clang_tidy(once, entries):
    return each(entries, lambda e: said(["clang-tidy", "-p", once, "--quiet", "--extra-arg=-DEPFLOW_ANALYSIS",
                                         "--extra-arg=-Wno-unused-value", e["file"]]))


def cppcheck(once, entries):
    return len(entries), said(["cppcheck", f"-j{os.cpu_count()}", f"--project={once}/compile_commands.json", "--quiet",
                               "--enable=warning,performance,portability", "--std=c11",
                               "--template={file}:{line}:{column}: {severity}: {message} [{id}]"])[1]


def fanalyzer(_, entries):
    """The program's sources; tests end at the first thing that is wrong, and may leave memory then."""
    sources = [e for e in entries if "/src/" in e["file"]]

    def one(entry):
        words = shlex.split(entry["command"])
        at = words.index("-o")
        code, text = said([w for w in words[:at] + words[at + 2:] if w != "-Werror"] + ANALYZER)
        return code, text if code == 0 else text + f"{entry['file']}:1: error: gcc ended with {code} [not-compiled]\n"
    return each(sources, one)


def with_first_line(pattern):
    """Files under version control whose first line matches."""
    names = subprocess.run(["git", "ls-files", "tools", "tests", "jobscripts", "cmake"], cwd=ROOT, capture_output=True,
                           text=True, check=True).stdout.split("\n")
    found = []
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file():
            with open(path, "rb") as file:
                line = file.readline(200).decode(errors="replace")
            if re.search(pattern, line) or (pattern == "python" and name.endswith(".py")):
                found.append(name)
    return found


def shellcheck(*_):
    files = with_first_line(r"^#!.*\b(ba)?sh\b")
    text = said(["shellcheck", "-x", "-f", "gcc", *files])[1]
    return len(files), re.sub(r": note: ", ": warning: ", text)


def pyflakes(*_):
    files = with_first_line("python")
    text = said(["pyflakes3", *files])[1]
    return len(files), re.sub(r"(?m)^(\S+:\d+:\d+:) (.*)$", r"\1 warning: \2 [pyflakes]", text)


TOOLS = {"clang-tidy": (clang_tidy, "clang-tidy"), "cppcheck": (cppcheck, "cppcheck"), "fanalyzer": (fanalyzer, "gcc"),
         "shellcheck": (shellcheck, "shellcheck"), "pyflakes": (pyflakes, "pyflakes3")}


def sorted_out(tool, text):
    """Findings that count, and the number of exceptions."""
    counted, excepted = {}, set()
    for match in filter(None, map(FINDING.match, text.splitlines())):
        name = source_name(match["file"])
        key = (name, int(match["line"]), match["check"])
        if any(tool == t and fnmatch.fnmatch(name, f) and fnmatch.fnmatch(match["check"], p)
               for t, f, p, _ in EXCEPTIONS):
            excepted.add(key)
        else:
            counted[key] = match["text"]
    return counted, excepted


def main():
    unknown = [name for name in sys.argv[1:] if name not in TOOLS]
    if unknown:
        sys.exit(f"tools/lint: {unknown[0]} is not one of {', '.join(TOOLS)}")
    once, entries = compile_commands()
    table, clean = [], True
    for tool in sys.argv[1:] or TOOLS:
        run, program = TOOLS[tool]
        if not shutil.which(program):
            table.append(f"{tool:12} not installed")
            clean = False
            continue
        begun = time.monotonic()
        files, text = run(once, entries)
        counted, excepted = sorted_out(tool, text)
        for (name, line, check), what in sorted(counted.items()):
            print(f"{name}:{line}: {what} [{check}]")
        clean = clean and not counted
        table.append(f"{tool:12} {files:5} {len(counted):8} {len(excepted):10} {time.monotonic() - begun:7.0f}")
    print(f"{'tool':12} {'files':>5} {'findings':>8} {'exceptions':>10} {'seconds':>7}", *table, sep="\n")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
