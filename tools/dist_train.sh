#!/usr/bin/env bash
# Train on several GPUs, or without a GPU in several processes of the CPU.
#   tools/dist_train.sh CONFIG PROCESSES [arguments of train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each of them.
set -euo pipefail

[[ $# -ge 2 ]] || { echo 'usage: tools/dist_train.sh CONFIG PROCESSES [arguments of train.py]' >&2; exit 2; }

CONFIG=$1
PROCESSES=$2
TOOLS=$(dirname "${BASH_SOURCE[0]}")

if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
    RENDEZVOUS=(--standalone)  # takes a free port
else
    RENDEZVOUS=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi

PYTHONPATH="$TOOLS/..:${PYTHONPATH:-}" exec "${PYTHON:-python}" -m torch.distributed.run \
    "${RENDEZVOUS[@]}" --nproc_per_node="$PROCESSES" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
