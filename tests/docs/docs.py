#!/usr/bin/env python3
"""The documentation says what is: docs.py PROGRAM SOURCE. Links lead somewhere, files and parameters that are named
exist, and docs/formats.md lists what is in the files of a run."""
import pathlib
import re
import subprocess
import sys
import tempfile

program, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(source / "tools"))
import formats  # noqa: E402

failures = []
PAGES = sorted([source / "README.md", *source.glob("docs/*.md"), *source.glob("*/README.md"),
                *source.glob("tests/*/README.md")])


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def anchor(title):
    """The name of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def anchors(page):
    return {anchor(title) for title in re.findall(r"^#+ (.*)$", page.read_text(), flags=re.M)}


def check_links(page):
    text = without_code(page.read_text())
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, name = target.partition("#")
        there = (page.parent / path) if path else page
        if not there.exists():
            failures.append(f"{page.name}: link to {target}, which is not there")
        elif name and there.suffix == ".md" and name not in anchors(there):
            failures.append(f"{page.name}: link to {target}: no such heading")


def check_names(page):
    """Files of the repository that a page names, and SECTION.KEY of parameters in backquotes."""
    text = page.read_text()
    for path in re.findall(r"(?<![\w/.$-])((?:inputs|jobscripts|tools|src|tests|kernels|cmake|docs)/[\w./*-]*\w)", text):
        if "N" not in path.split("-")[-1] and not list(source.glob(path)):
            failures.append(f"{page.name}: names {path}, which is not there")
    for section, key in re.findall(r"`(\w+)\.(\w+)(?::[^`\n]*)?`", text):
        if section in sections and key not in sections[section] | {"yaml", "h5", "cu"}:
            failures.append(f"{page.name}: names {section}.{key}, which is no parameter")
    for command in re.findall(r"^    (?:mpirun .*)?(?:build/release/)?epflow (\w+)", text, flags=re.M):
        if command not in commands:
            failures.append(f"{page.name}: names epflow {command}, which is no command")


def read_reference():
    """Parameters by section, and commands, as the program knows them."""
    reference = subprocess.run([program, "help", "reference"], capture_output=True, text=True, check=True).stdout
    found, section = {}, None
    for line in reference[reference.index("## Parameters"):].splitlines():
        if line.startswith("### "):
            section = found.setdefault(line[4:], set())
        elif line.startswith("| `") and section is not None:
            section.add(line.split("`")[1])
    return found, {"help", *re.findall(r"^### epflow (\w+)", reference, flags=re.M)}


def check_formats():
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([program, "run", source / "tests/pipeline/small.yaml", "--output", f"{folder}/run",
                              "--set", "training.steps=100"], capture_output=True, text=True)
        if run.returncode != 0:
            failures.append(f"the run failed: {run.stderr[-500:]}")
            return
        page = (source / "docs/formats.md").read_text()
        for name in formats.FILES:
            wanted = "\n".join(formats.listing(pathlib.Path(folder) / "run" / name))
            if wanted not in page:
                given = {line for line in page.splitlines() if line.startswith("| `/")}
                news = [line for line in wanted.splitlines() if line.startswith("| `/") and line not in given]
                failures.append(f"docs/formats.md does not list {name} as it is (tools/formats.py prints it): "
                                f"{news[:3] or 'a row too many'}")


sections, commands = read_reference()
for one in PAGES:
    check_links(one)
    check_names(one)
check_formats()
print(f"{len(PAGES)} pages")
if failures:
    sys.exit("\n".join(failures))
