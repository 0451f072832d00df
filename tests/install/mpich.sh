#!/usr/bin/env bash
# The program built with MPICH and its HDF5 writes the same bits: mpich.sh BUILD SOURCE
set -eu
build=$1 source=$2 other=$1/mpich

fail() {
    echo "$*" >&2
    exit 1
}

command -v mpicc.mpich h5pcc.mpich h5diff >/dev/null || { echo "MPICH and HDF5 for it are not here"; exit 77; }
cmake -S "$source" -B "$other" -DCMAKE_BUILD_TYPE=Release -DMPI_C_COMPILER=mpicc.mpich -DBUILD_TESTING=OFF \
    -DCMAKE_CUDA_COMPILER=NOTFOUND -DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON \
    -DCMAKE_C_COMPILER_LAUNCHER="$(command -v ccache || true)" >"$build/mpich.log" || fail "$(tail -20 "$build/mpich.log")"
grep -q 'MPI  .*libmpich' "$build/mpich.log" || fail "MPICH was asked for: $(grep 'MPI  ' "$build/mpich.log")"
cmake --build "$other" -j 2 --target epflow >"$build/mpich.log" || fail "$(tail -20 "$build/mpich.log")"

# HDF5 of the other MPI is refused while there is time.
if cmake -S "$source" -B "$other/mixed" -DMPI_C_COMPILER=mpicc.mpich -DHDF5_C_COMPILER_EXECUTABLE=h5pcc.openmpi \
    -DCMAKE_CUDA_COMPILER=NOTFOUND >"$build/mpich.log" 2>&1; then
    fail "HDF5 for Open MPI was taken together with MPICH"
fi
tr -s ' \n' ' ' <"$build/mpich.log" | grep -q 'is built for libmpi.so' || fail "$(tail -20 "$build/mpich.log")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$build/epflow" simulate "$source/tests/pipeline/small.yaml" --output openmpi 2>log || fail "$(cat log)"
for ranks in 1 3; do
    mpiexec.mpich -n "$ranks" "$other/epflow" simulate "$source/tests/pipeline/small.yaml" --output "mpich$ranks" 2>log ||
        fail "$ranks ranks of MPICH: $(cat log)"
    h5diff -d 0 openmpi/trajectory.h5 "mpich$ranks/trajectory.h5" /particles || fail "$ranks ranks of MPICH: other bits"
done
mpiexec.mpich -n 2 "$other/epflow" run "$source/tests/pipeline/small.yaml" --output mpich3 --resume --set training.steps=100 2>log ||
    fail "training and evaluation with MPICH: $(cat log)"
[[ $("$other/epflow" info mpich3/evaluation.h5) == *"complete"*"yes"* ]] || fail "the evaluation is not complete"
