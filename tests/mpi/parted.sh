#!/usr/bin/env bash
# parted.sh MPIRUN PROGRAM HOW: three ranks end within seconds, with one message and its exit code.
set -uo pipefail
begun=$SECONDS
said=$(timeout 30 "$1" -n 3 "$2" "$3" 2>&1)
code=$?
echo "$said"
declare -A words=([places]="error: particle 7 is lost" [waiting]="error: rank 2: particle 7 is lost"
                  [silent]="went different ways" [early]="error: rank 2: particle 7 is lost")
wanted=3
[ "$3" = silent ] && wanted=1
[ "$code" -eq "$wanted" ] || { echo "exit code $code"; exit 1; }
[ "$(grep -c 'epflow: error:' <<< "$said")" -eq 1 ] || { echo "not one message"; exit 1; }
grep -q "${words[$3]}" <<< "$said" || { echo "another message"; exit 1; }
! grep -q "still there" <<< "$said" || { echo "somebody got past it"; exit 1; }
[ $((SECONDS - begun)) -le 15 ] || { echo "too late"; exit 1; }
