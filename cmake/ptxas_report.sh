#!/usr/bin/env bash
# Runs the CUDA compiler and keeps what ptxas says of each kernel (registers, stack, spills) beside the object file,
# as OBJECT.ptxas, which tools/kernels reads. Everything else the compiler says is passed on.
set -uo pipefail
object=""
for ((i = 1; i <= $#; i++)); do
    [[ ${!i} != -o ]] || { next=$((i + 1)) && object=${!next}; }
done
[[ -n $object ]] || exec "$@"
"$@" -Xptxas=-v 2>"$object.said"
code=$?
pattern='^ptxas info|^    [0-9]+ bytes stack frame'
grep -E "$pattern" "$object.said" >"$object.ptxas"
grep -vE "$pattern" "$object.said" >&2
rm -f "$object.said"
exit $code
