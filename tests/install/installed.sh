#!/usr/bin/env bash
# An installed tree works where it is moved to: installed.sh BUILD SOURCE
set -eu
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
moved=$work/moved
cd "$work"

# The program runs, and asks for a library of its own only beside itself.
"$moved/bin/epflow" --version >/dev/null
"$moved/bin/epflow" simulate "$moved/share/epflow/inputs/quick.yaml" --output out --set system.particles=64 \
    --set simulation.burn_in=1 --set simulation.frames=1 --set simulation.refine=0 2>messages ||
    fail "the moved program failed: $(cat messages)"
[[ -s out/trajectory.h5 ]] || fail "the moved program wrote no trajectory"
if [[ -e $build/libepflow_cuda.so ]]; then
    [[ -e $moved/lib/libepflow_cuda.so ]] || fail "the CUDA library is not in lib"
    if "$moved/bin/epflow" simulate "$moved/share/epflow/inputs/quick.yaml" --output gpu --device cuda --dry-run \
        2>messages; then :; fi
    ! grep -q "was built without CUDA" messages || fail "the moved program does not find ../lib/libepflow_cuda.so"
fi
! readelf -d "$moved/bin/epflow" | grep -E 'R(UN)?PATH' | grep -q "$build" ||
    fail "the program looks for libraries in the build"

for completion in bash-completion/completions/epflow zsh/site-functions/_epflow fish/vendor_completions.d/epflow.fish; do
    [[ -s $moved/share/$completion ]] || fail "share/$completion is not there"
done

# The scripts run there, the module knows where it lies, and man finds the page.
for script in "$moved"/share/epflow/jobscripts/* "$moved"/share/epflow/tools/*; do
    [[ ! -f $script || $script == *.py || $script == */compare-models ]] || bash -n "$script"
done
modulecmd=$(find /usr/lib /usr/share/modules -name modulecmd.tcl -print -quit 2>/dev/null || true)
if [[ -n $modulecmd ]]; then
    MODULEPATH=$moved/share/modulefiles "$modulecmd" bash load epflow >"$work/loaded"
    # shellcheck source=/dev/null
    found=$(source "$work/loaded" >/dev/null && command -v epflow)
    [[ $found == "$moved/bin/epflow" ]] || fail "the module finds '$found'"
else
    echo "Environment Modules are not here: the module was not loaded"
fi
