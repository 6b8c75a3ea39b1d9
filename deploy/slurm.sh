#!/bin/bash
# One search on the nodes of a Slurm job: sbatch deploy/slurm.sh
#
# Whatever stands behind the script's name on that line is given to the search in place of the
# options below. Run again, after a preemption, a time limit or a crash, it goes on where it was.
#
#SBATCH --job-name=supremix
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=supremix-%j.log
# Two minutes before the end of the time the search is asked to stop in order.
#SBATCH --signal=B:TERM@120

set -euo pipefail

# A folder that all nodes see, for the run; and one on each node's own disk, for the images.
RUN="${RUN:-$PWD/runs/slurm-$SLURM_JOB_ID}"
export SUPREMIX_CACHE="${SUPREMIX_CACHE:-${TMPDIR:-/tmp}/supremix-$USER}"
STORES="${STORES:-$PWD/stores}"
ENVIRONMENT="${ENVIRONMENT:-$PWD/.venv}"
# shellcheck disable=SC1091
source "$ENVIRONMENT/bin/activate"

SEARCH=(--dataset ukb-t1 --source "$PWD/data/ukb-t1" --time 23h --gpus-per-worker 1)
if (( $# )); then SEARCH=("$@"); fi

HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
HEAD_IP=$(srun --nodes=1 --ntasks=1 --nodelist="$HEAD" hostname --ip-address | awk '{print $1}')
# Other jobs may have a Ray on the same node: ports and folders of our own.
PORT=$((20000 + SLURM_JOB_ID % 10000))
ADDRESS="$HEAD_IP:$PORT"
export RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID"
export RAY_AUTH_MODE=disabled  # or "token", with the token in ~/.ray on all nodes

GPUS="${SLURM_GPUS_ON_NODE:-0}"
NODE=(--block --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="$GPUS" --disable-usage-stats)
# A step does not inherit the job's CPUs a task since Slurm 22.05.
STEP=(srun --overlap --cpus-per-task="$SLURM_CPUS_PER_TASK")

"${STEP[@]}" --nodes=1 --ntasks=1 --nodelist="$HEAD" \
    ray start --head --node-ip-address="$HEAD_IP" --port="$PORT" --temp-dir="$RAY_TMPDIR" \
    --include-dashboard=false "${NODE[@]}" &

NODES=1
until ray status --address="$ADDRESS" >/dev/null 2>&1; do sleep 2; done
if (( SLURM_JOB_NUM_NODES > 1 )); then
    NODES=$SLURM_JOB_NUM_NODES
    "${STEP[@]}" --nodes="$((NODES - 1))" --ntasks="$((NODES - 1))" --exclude="$HEAD" \
        ray start --address="$ADDRESS" "${NODE[@]}" &
fi
# The worker groups are planned for the nodes that are there when the search starts.
until (( $(ray status --address="$ADDRESS" | grep -c ' node_') >= NODES )); do sleep 2; done

supremix search --address "$ADDRESS" --or-resume --out "$RUN" --stores "$STORES" \
    "${SEARCH[@]}" &
DRIVER=$!

# Slurm tells only this shell: it passes the word on, waits, and asks to be started again.
AGAIN=0
trap 'AGAIN=1; kill -TERM "$DRIVER"' TERM

STATUS=0
wait "$DRIVER" || STATUS=$?
if (( AGAIN )); then
    STATUS=0
    wait "$DRIVER" || STATUS=$?
    # 130: stopped in order, with work left.
    if (( STATUS == 130 )); then scontrol requeue "$SLURM_JOB_ID"; fi
fi
exit "$STATUS"
