#!/usr/bin/env bash
# Test on several GPUs, or without a GPU in several processes of the CPU.
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of test.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each of them.
set -euo pipefail

[[ $# -ge 3 ]] || { echo 'usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of test.py]' >&2; exit 2; }

CONFIG=$1
CHECKPOINT=$2
PROCESSES=$3
TOOLS=$(dirname "${BASH_SOURCE[0]}")

if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
    RENDEZVOUS=(--standalone)  # takes a free port
else
    RENDEZVOUS=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi

PYTHONPATH="$TOOLS/..:${PYTHONPATH:-}" exec "${PYTHON:-python}" -m torch.distributed.run \
    "${RENDEZVOUS[@]}" --nproc_per_node="$PROCESSES" \
    "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
