#!/usr/bin/env python3
"""docs/extending.md quotes its examples as they are, and they fit the tree: extending.py BUILD SOURCE [COMPILER].

Every quotation in C, Python or of a patch is found in the files of docs/extending, or, in C, of the program, line after line, and of a patch no
line outside of docs/ is left unquoted; the patches apply to a copy of the tree, whose changed sources compile. tools/verify examples
builds and runs all of it."""
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

build, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
compiler = sys.argv[3] if len(sys.argv) > 3 else "cc"
sys.path.insert(0, str(source / "tools"))
from verify import verify_examples  # noqa: E402

FLAGS = {"src/base": "src/CMakeFiles/base.dir", "src/learn": "src/CMakeFiles/learn.dir",
         "src/entropy": "src/CMakeFiles/entropy.dir", "tests/unit": "tests/unit/CMakeFiles/test_window_network.dir",
         "tests/mpi": "tests/mpi/CMakeFiles/test_snapshot.dir",
         "tests/physics": "tests/physics/CMakeFiles/test_entropy.dir"}
failures = []


def check_quotations():
    page = (source / "docs/extending.md").read_text()
    files = [path for path in (source / "docs/extending").rglob("*") if path.is_file()]
    texts = {path: path.read_text() for path in files}
    tree = [path.read_text() for folder in ("src", "kernels") for path in (source / folder).rglob("*.[ch]")]
    quoted = set()
    for kind, quotation in re.findall(r"^```(c|python|diff)\n(.*?)^```$", page, flags=re.M | re.S):
        known = [*texts.values(), *(tree if kind == "c" else [])]
        if not any("\n" + quotation in "\n" + text for text in known):
            failures.append(f"docs/extending.md quotes what is not in docs/extending or the sources:\n{quotation}")
        if kind == "diff":
            quoted.update(quotation.splitlines())
    for path, text in texts.items():
        parts = re.split(r"^--- a/.*\n\+\+\+ b/(.*)\n", text, flags=re.M) if path.suffix == ".patch" else []
        for file, change in zip(parts[1::2], parts[2::2]):  # lists in docs/ are printed by the program
            for line in change.splitlines():
                if line[:1] in ("+", "-") and line not in quoted and len(line) > 2 and not file.startswith("docs/"):
                    failures.append(f"{path.name}: not in docs/extending.md: {line}")


def flags(file):
    """How the build compiles sources of the same folder."""
    text = (build / FLAGS[str(file.parent)] / "flags.make").read_text()
    parts = dict(re.findall(r"^C_(DEFINES|INCLUDES|FLAGS) = (.*)$", text, flags=re.M))
    return [word for name in ("DEFINES", "INCLUDES", "FLAGS") for word in shlex.split(parts.get(name, ""))]


def check_sources(tree, names):
    if not (build / FLAGS["src/base"] / "flags.make").exists():
        print("this build has no makefiles: sources of examples were not compiled")
        return
    for name in names:
        words = [compiler, "-fsyntax-only", f"-I{tree}/src", f"-I{tree}/tests", *flags(pathlib.Path(name)), name]
        result = subprocess.run(words, cwd=tree, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            failures.append(f"{name} of an example does not compile:\n{result.stderr[:2000]}")


def check_examples():
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "tree"
        verify_examples.copy_tree(source, tree)
        for example in ("field", "score-model"):
            applied = verify_examples.apply_example(tree, example)
            if applied.returncode != 0:
                failures.append(f"docs/extending/{example}.patch does not fit the tree: {applied.stderr}")
                return
        patches = [(source / f"docs/extending/{name}.patch").read_text() for name in ("field", "score-model")]
        changed = re.findall(r"^\+\+\+ b/(.*\.c)$", "\n".join(patches), flags=re.M)
        new = source / "docs/extending/score-model"
        check_sources(tree, changed + [str(path.relative_to(new)) for path in new.rglob("*.c")])


if subprocess.run(["git", "ls-files"], cwd=source, capture_output=True, check=False).returncode != 0:
    print("this tree is no repository of git, by which it is copied: skipped")
    sys.exit(77)
check_quotations()
check_examples()
if failures:
    sys.exit("\n".join(failures))
