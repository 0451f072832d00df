# What the job scripts share; they source it. Not a job by itself.
# shellcheck shell=bash

cd "$SLURM_SUBMIT_DIR" || exit 1
export OPENBLAS_NUM_THREADS=1           # a rank is one core

# This job, also where it is one of an array: SLURM_JOB_ID of the last one is the number of them all.
job=$SLURM_JOB_ID
if [[ -n ${SLURM_ARRAY_JOB_ID:-} ]]; then
    job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
fi

# When the job ends: epflow stops before it. Slurm 23.02 and later say it themselves.
if [[ -z ${SLURM_JOB_END_TIME:-} ]]; then
    ends=$(squeue --noheader --jobs="$job" --format=%e)
    SLURM_JOB_END_TIME=$(date --date="$ends" +%s 2>/dev/null) && export SLURM_JOB_END_TIME
fi

# Debian's and Ubuntu's Open MPI speak PMIx only. EPFLOW_LAUNCHER=mpirun works, too.
launcher=${EPFLOW_LAUNCHER:-srun --mpi=pmix}

# stage NAME ...: runs one stage in the background, so that the shell is free to take the signal, and waits for its end;
# its exit code is in `code`. wait returns early when a signal comes: wait again for as long as the program is there.
# --resume goes on where an earlier job stopped, begins where there is nothing, and does nothing where all is complete.
stage() {
    # shellcheck disable=SC2086 # the launcher is several words
    $launcher "${EPFLOW:-build/release/epflow}" "$@" --resume &
    program=$!
    wait "$program"
    code=$?
    while kill -0 "$program" 2>/dev/null; do
        wait "$program"
        code=$?
    done
}

trap 'kill -USR1 "$program"' USR1       # srun and mpirun pass it on to every rank

# 75: stopped early with everything written: back into the queue. Anything else is an end, good (0) or bad.
finish() {
    if ((code == 75)); then
        scontrol requeue "$job"
        exit 0
    fi
    exit "$code"
}
