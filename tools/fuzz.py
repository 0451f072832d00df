"""What tools/fuzz does once epflow is built: builds the targets of tests/fuzz, makes the files and seeds that they begin with,
runs them, and prints for each how many inputs were tried, how many of them were new to it, and what was found.

Inputs that reach new code are kept in build/fuzz/corpus and begin the next run; one that breaks a reader is left beside as
build/fuzz/TARGET-crash-..., to be tried again by build/fuzz/fuzz/fuzz_TARGET FILE (with EPFLOW_FUZZ_FILES=build/fuzz/files)."""
import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import verify
from running import ROOT

BUILD = ROOT / "build/fuzz"
TARGETS = ("yaml", "trajectory", "restart", "model", "evaluation", "foreign")
SKIPPED = 77
# An allocation is never larger than a few times these small files; a round takes milliseconds.
LIMITS = ["-malloc_limit_mb=64", "-rss_limit_mb=1024", "-timeout=30"]
SANITIZERS = {"ASAN_OPTIONS": "malloc_context_size=6:quarantine_size_mb=8:detect_leaks=1",
              "UBSAN_OPTIONS": "print_stacktrace=1"}


def can_fuzz():
    """Whether clang and its fuzzer's library are there."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "try.c"
        source.write_text("int LLVMFuzzerTestOneInput(const char *d, unsigned long n); "
                          "int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n > 9; }\n")
        try:
            tried = subprocess.run(["clang", "-fsanitize=fuzzer,address,undefined", source, "-o", f"{folder}/try"],
                                   capture_output=True, check=False)
        except OSError:
            return False
        return tried.returncode == 0


def build(targets):
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "check": True}
    cache = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    subprocess.run(["cmake", "--preset", "fuzz", "-DCMAKE_CUDA_COMPILER=NOTFOUND",
                    "-DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON", *cache], **quiet)
    subprocess.run(["cmake", "--build", "--preset", "fuzz", "-j", "2", "--target", *(f"fuzz_{t}" for t in targets)], **quiet)


def make_files():
    """The originals, by the program itself; seeds: inputs for yaml, and bytes that spell some edits for the others."""
    files = BUILD / "files"
    if not (files / "foreign.h5").exists():
        with tempfile.TemporaryDirectory(prefix="epflow-fuzz-") as folder:
            for name, value, target, reached in verify.verify_badfiles.make_folders(pathlib.Path(folder)):
                if not reached and name.startswith("make_"):
                    sys.exit(f"fuzz: {name}: {value}, not {target}")
            files.mkdir(parents=True, exist_ok=True)
            for name in ("trajectory", "restart", "model", "evaluation", "foreign"):
                shutil.copy(pathlib.Path(folder) / f"gas/{name}.h5", files)
    chance = random.Random(1)
    for target in TARGETS:
        corpus = BUILD / "corpus" / target
        if corpus.exists():
            continue
        corpus.mkdir(parents=True)
        if target == "yaml":
            for source in [*(ROOT / "inputs").glob("*.yaml"), ROOT / "tests/pipeline/small.yaml"]:
                shutil.copy(source, corpus)
            continue
        for m in range(64):
            (corpus / f"seed{m}").write_bytes(chance.randbytes(chance.choice([4, 8, 16, 32, 64])))


def fuzz(target, seconds):
    """Runs one; the process, and where it writes."""
    said = open(BUILD / f"{target}.log", "w+b")
    command = [BUILD / f"fuzz/fuzz_{target}", BUILD / "corpus" / target, f"-max_total_time={seconds}",
               "-max_len=4096" if target == "yaml" else "-max_len=512", "-len_control=10", "-detect_leaks=0",
               "-print_final_stats=1", f"-artifact_prefix={BUILD}/{target}-", *LIMITS]
    environment = {**os.environ, **SANITIZERS, "EPFLOW_FUZZ_FILES": str(BUILD / "files")}
    return subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment), said


def report(target, process, said):
    """Prints a line for it; whether nothing was found."""
    code = process.wait()
    said.seek(0)
    text = said.read().decode(errors="replace")
    said.close()
    tried = re.findall(r"number_of_executed_units: (\d+)", text) or re.findall(r"(?m)^#(\d+)", text) or ["0"]
    covered = re.findall(r"cov: (\d+)", text) or ["0"]
    print(f"{target:11} {tried[-1]:>9} inputs  {covered[0]:>5} then {covered[-1]:>5} edges of the code  "
          f"{'nothing found' if code == 0 else f'FOUND something: {BUILD}/{target}.log'}", flush=True)
    if code != 0:
        print("\n".join(line for line in text.splitlines()
                        if re.search(r"^fuzz:|ERROR|SUMMARY|runtime error|^    #\d|Test unit", line))[:4000], flush=True)
    return code == 0


def main():
    parser = argparse.ArgumentParser(prog="tools/fuzz", description="Fuzzes the readers with coverage guidance.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--short", action="store_true", help="six seconds each, two at a time")
    options = parser.parse_args()
    targets = options.targets or list(TARGETS)
    for target in targets:
        if target not in TARGETS:
            parser.error(f"{target} is not a target; there are {', '.join(TARGETS)}")
    if not can_fuzz():
        print("skipped: clang and the library of its fuzzer (libclang-rt-dev) are not there")
        return SKIPPED
    build(targets)
    make_files()
    good, seconds = True, 6 if options.short else options.seconds
    for m in range(0, len(targets), 2):
        pair = [(target, *fuzz(target, seconds)) for target in targets[m:m + 2]]
        good = all([report(*one) for one in pair]) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
