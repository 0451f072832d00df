#!/usr/bin/env bash
# A trajectory of this build, read by the real MDAnalysis in a virtual environment of the test's own.
#     mdanalysis.sh EPFLOW FOLDER        exit code 77: the package cannot be had here (skipped)
set -eu
epflow=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
venv=$folder/venv
if [[ ! -x $venv/bin/python || ! -e $venv/ready ]]; then
    rm -rf "$venv"
    python=/usr/bin/python3
    "$python" -m venv "$venv" || exit 77
    "$venv/bin/pip" install --quiet 'MDAnalysis>=2.4' h5py || exit 77
    touch "$venv/ready"
fi
for dimension in 2 3; do
    "$epflow" simulate "$here/small.yaml" --output "$folder/run$dimension" --overwrite \
        --set system.dimension=$dimension
    "$venv/bin/python" "$here/check_mdanalysis.py" "$folder/run$dimension/trajectory.h5"
done
