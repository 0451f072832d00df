#!/usr/bin/env python3
"""The recipes of tools/packaging that cannot be built here are read as their programs would read them: recipes.py SOURCE.

Apptainer: known headers and sections, shell that parses, files that are there. Docker: known instructions, and the same
commands. Spack: the recipe is carried out with stand-ins for what it imports, and what it tells CMake is an option of it."""
import pathlib
import re
import subprocess
import sys
import types

source = pathlib.Path(sys.argv[1]).resolve()
packaging = source / "tools/packaging"
SECTIONS = {"files", "post", "environment", "runscript", "test", "help", "labels", "setup", "startscript", "arguments"}
SHELL = {"post", "environment", "runscript", "test", "setup", "startscript"}
INSTRUCTIONS = {"ARG", "FROM", "COPY", "WORKDIR", "RUN", "ENV", "ENTRYPOINT", "CMD", "LABEL", "USER"}
failures = []


def expect(good, what):
    if not good:
        failures.append(what)


def check_shell(where, text):
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"{where}: {done.stderr}")
    for tool in re.findall(r"(?<![\w/.])tools/[\w/-]+", text):
        expect((source / tool).exists(), f"{where}: {tool} is not there")


def apptainer():
    text = re.sub(r"^#.*\n", "", (packaging / "epflow.def").read_text(), flags=re.M)
    head, *parts = re.split(r"^%(\w+).*\n", text, flags=re.M)
    headers = dict(re.findall(r"^(\w+): (\S+)$", head, flags=re.M))
    expect(set(headers) == {"Bootstrap", "From"} and headers["Bootstrap"] == "docker", f"epflow.def: header {headers}")
    sections = dict(zip(parts[::2], parts[1::2]))
    expect(len(sections) == len(parts) // 2 and set(sections) <= SECTIONS, f"epflow.def: sections {parts[::2]}")
    for name in SHELL & set(sections):
        check_shell(f"epflow.def, %{name}", sections[name])
    for line in sections["files"].splitlines():
        expect(not line.strip() or (source / line.split()[0]).exists(), f"epflow.def, %files: {line}")
    return sections["post"]


def docker():
    text = re.sub(r"^#.*\n", "", (packaging / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", text, flags=re.M))
    for line in filter(None, text.splitlines()):
        word, rest = line.split(" ", 1)
        expect(word in INSTRUCTIONS, f"Dockerfile: {line}")
        if word == "RUN":
            check_shell("Dockerfile", rest)
        if word == "COPY" and rest.startswith("--from="):
            expect(rest.split()[0][7:] in stages, f"Dockerfile: {line}")
    return text


def spack():
    """Runs the recipe: directives are recorded, a spec has or lacks a variant."""
    text = (packaging / "spack/packages/epflow/package.py").read_text()
    said = []

    class Package:
        def define(self, name, value):
            return f"-D{name}={value}"

        def define_from_variant(self, name, wanted):
            expect(any(s[0] == "variant" and s[1][0] == wanted for s in said), f"package.py: no variant {wanted}")
            return f"-D{name}={wanted}"

    class Spec(dict):
        variants = {"cuda_arch": types.SimpleNamespace(value=("80", "90"))}

        def satisfies(self, _):
            return self.cuda

    stand_in = types.ModuleType("spack.package")
    for name in re.search(r"import (.*)$", text, flags=re.M).group(1).split(", "):
        is_class = name.endswith("Package")
        setattr(stand_in, name, type(name, (Package,), {}) if is_class
                else lambda *words, name=name, **more: said.append((name, words, more)))
    sys.modules.update({"spack": types.ModuleType("spack"), "spack.package": stand_in})
    scope = {}
    exec(compile(text, "package.py", "exec"), scope)  # noqa: S102
    options = "".join(path.read_text() for path in [source / "CMakeLists.txt", *(source / "cmake").glob("*.cmake")])
    for cuda in (False, True):
        spec = Spec(mpi=types.SimpleNamespace(mpicc="mpicc"))
        spec.cuda = cuda
        package = scope["Epflow"]()
        package.spec = spec
        for argument in package.cmake_args():
            name = argument[2:].split("=")[0]
            known = name in options or name.startswith(("CMAKE_", "MPI_")) or name == "BUILD_TESTING"
            expect(known, f"package.py: CMake has no option {name}")
    for name, words, _ in said:
        if name == "depends_on":
            package = re.split(r"[@+~ ]", words[0])[0]
            expect(re.search({"pkgconfig": "pkg", "cxx": "CUDA", "c": "C"}.get(package, package), options, flags=re.I),
                   f"package.py: nothing here asks for {package}")


post = apptainer()
commands = docker()
for word in ("tools/setup", "cmake --install build/release --prefix /opt/epflow"):
    expect(word in post and word in commands, f"{word}: not in both images")
spack()
if failures:
    sys.exit("\n".join(failures))
