#!/usr/bin/env bash
# The include rule of the architecture is enforced: layers.sh COMPILER INCLUDE-ROOT-OF-THE-BUILD
# Compiles one include from within a layer, for pairs that are allowed and pairs that are not.
set -eu
compiler=$1 root=$2
status=0

try() { # layers seen, header
    local flags=()
    for layer in $1; do flags+=(-I "$root/$layer"); done
    echo "#include \"$2\"" | "$compiler" -std=c17 -fsyntax-only "${flags[@]}" -x c - 2>/dev/null
}
allowed() {
    try "$1" "$2" || { echo "$1 should see $2, and does not"; status=1; }
}
refused() {
    if try "$1" "$2"; then echo "$1 should not see $2, and does"; status=1; fi
}

allowed "base" base/status.h
refused "base" ops/ops.h
refused "ops base" space/comm.h
allowed "io comm base" space/comm.h
refused "io comm base" space/domain.h
refused "io comm base" ops/ops.h
refused "dynamics space comm ops base" learn/score.h
refused "learn space comm ops base" dynamics/system.h
allowed "entropy dynamics learn space comm ops base" learn/score.h
refused "entropy dynamics learn space comm ops base" io/file.h
exit $status
