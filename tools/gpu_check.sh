#!/usr/bin/env bash
# Check and time mmcrowd on a machine with a GPU and without network, then train with what is left of
# the time: see docs/gpu.md.
#   tools/gpu_check.sh FOLDER [--minutes 9] [--config configs/pml_vgg16_shb_gpu.py] [--device cuda]
#                      [--skip tests,benchmark,training]
# FOLDER is what tools/gpu_pack.sh has made; of its wheels those are installed that this Python lacks.
# torchvision is among them, of the version that goes with torch 2.11 unless packed otherwise. To go on
# with an earlier training, put its checkpoint.pth.part-* and logs.tar.gz there. Results are in $OUT, by
# default gpu_out:
#   summary.txt            what was done, how long it took, how it ended
#   benchmark.json         of tools/benchmarks/gpu.py
#   checkpoint.pth.part-*  the last checkpoint in half precision, in pieces of at most 15 MiB
#   curves.png             loss and validation errors
#   logs.tar.gz            the output of every step, the benchmark's table, the scalars of the training
# The exit status is 1 if a step has failed.
set -uo pipefail

usage() { sed -n '4,6s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

started=$SECONDS
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $# -ge 1 && -d $1 ]] || usage
PACK=$(cd "$1" && pwd)
shift
minutes=9
config=$ROOT/configs/pml_vgg16_shb_gpu.py
device=cuda
skip=
while [[ $# -gt 0 ]]; do
    [[ $# -ge 2 ]] || usage
    case $1 in
        --minutes) minutes=$2 ;;
        --config) config=$2 ;;
        --device) device=$2 ;;
        --skip) skip=$2 ;;
        *) usage ;;
    esac
    shift 2
done
PYTHON=${PYTHON:-python3}
OUT=${OUT:-gpu_out}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
WORK=${WORK:-${TMPDIR:-/tmp}/mmcrowd_gpu}
rm -rf "$WORK/logs" "$WORK/wheels"
mkdir -p "$WORK/logs" "$WORK/data" "$WORK/site" "$WORK/wheels"
budget=$("$PYTHON" -c 'import sys; print(int(60 * float(sys.argv[1])))' "$minutes") || usage
status=0

left() { echo $((budget - SECONDS + started)); }
skipped() { [[ ,$skip, == *,$1,* ]]; }
say() { echo "[$((SECONDS - started)) s] $*" | tee -a "$OUT/summary.txt"; }
tell_end() { say "$1: the end of $2.log"; tail -n "${3:-15}" "$WORK/logs/$2.log" | tee -a "$OUT/summary.txt"; }

# Run a step for at most so many seconds: step NAME SECONDS COMMAND ...
step() {
    local name=$1 limit=$2 begun=$SECONDS code
    timeout --kill-after=10 "$limit" "${@:3}" > "$WORK/logs/$name.log" 2>&1
    code=$?
    case $code in
        0) say "$name: ok, $((SECONDS - begun)) s" ;;
        124 | 137) say "$name: stopped after $((SECONDS - begun)) s"; status=1 ;;
        *) say "$name: FAILED with status $code after $((SECONDS - begun)) s"; status=1 ;;
    esac
    return $code
}

: > "$OUT/summary.txt"
say "mmcrowd on $(uname -m), $(nproc) cores, budget $budget s"

# --- What this Python lacks of the wheels; what it has stays as it is, also from an earlier call

export PYTHONPATH="$ROOT:$WORK/site${PYTHONPATH:+:$PYTHONPATH}"
for first in "$PACK"/wheels/*.whl.part-00; do
    [[ -f $first ]] && cat "${first%00}"* > "$WORK/wheels/$(basename "${first%.part-00}")"
done
missing=$("$PYTHON" - "$PACK/wheels" "$WORK/wheels" 2> "$WORK/logs/missing.log" <<'EOF'
import importlib.util
import re
import sys
import zipfile
from importlib import metadata
from pathlib import Path

# Each of these modules comes from distributions of several names, or is built without a name.
MODULES = {'opencv_python_headless': 'cv2', 'mmcv_lite': 'mmcv', 'torchvision': 'torchvision'}


def torch_of(wheel):
    """Version of torch that a wheel is built for, without the last number; None for any."""
    with zipfile.ZipFile(wheel) as archive:
        path = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        text = archive.read(path).decode()
    found = re.search(r'^Requires-Dist: torch *\(?==([0-9]+[.][0-9]+)', text, re.MULTILINE)
    return found and found[1]


torch = '.'.join(metadata.version('torch').split('.')[:2])
for wheel in sorted(path for folder in sys.argv[1:] for path in Path(folder).glob('*.whl')):
    name = wheel.name.split('-')[0]
    try:
        metadata.version(name.replace('_', '-'))
    except metadata.PackageNotFoundError:
        if name in MODULES and importlib.util.find_spec(MODULES[name]) is not None:
            continue
        if torch_of(wheel) in (None, torch):
            print(wheel)
        else:
            print(f'left out: {wheel.name}, of torch {torch_of(wheel)}.*', file=sys.stderr)
EOF
) || { tell_end wheels missing; exit 1; }
[[ -s $WORK/logs/missing.log ]] && tell_end wheels missing
mapfile -t wheels <<< "$missing"
if [[ -n $missing ]]; then
    step wheels 120 "$PYTHON" -m pip install --no-index --no-deps --no-compile --no-cache-dir \
        --disable-pip-version-check --upgrade --target "$WORK/site" "${wheels[@]}" \
        || { tell_end wheels wheels; exit 1; }
fi
# MMEngine imports distutils, which left Python with 3.12; setuptools has it, once it is imported.
if ! "$PYTHON" -c 'import distutils.errors' 2> /dev/null; then
    echo 'import setuptools' > "$WORK/site/sitecustomize.py"
    "$PYTHON" -c 'import distutils.errors' || { say 'setuptools: FAILED, distutils is not there'; exit 1; }
fi
export MMCROWD_TEST_DEVICE=$device MMCROWD_DATA_ROOT=$WORK/data PYTHONUNBUFFERED=1
# Few workers of few threads each rather than all cores for each.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}
[[ $device == cuda ]] || export CUDA_VISIBLE_DEVICES=
begun=$SECONDS
step environment 120 "$PYTHON" -c "
import sys
from importlib import metadata
import torch
import mmcrowd.models
for name in ('numpy', 'scipy', 'torchvision', 'mmengine', 'mmpretrain', 'timm'):
    try:
        print(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        print(name, 'absent')
torch.zeros(1, device=sys.argv[1])
print('Python', sys.version.split()[0], 'torch', torch.__version__, 'cuDNN', torch.backends.cudnn.version())
print(torch.cuda.get_device_name(0) if sys.argv[1] == 'cuda' else torch.backends.cpu.get_cpu_capability())
" "$device" || { tell_end environment environment; exit 1; }
startup=$((SECONDS - begun))  # until a tool has loaded what it needs
tell_end device environment 2

# --- Tests

if ! skipped tests; then
    parallel=()
    if [[ $(nproc) -ge 8 ]] && "$PYTHON" -c 'import xdist' 2> /dev/null; then
        parallel=(-n 4)
    fi
    step tests $((budget * 2 / 5)) "$PYTHON" -m pytest -p no:cacheprovider ${parallel[@]+"${parallel[@]}"} \
        -c "$ROOT/pyproject.toml" --rootdir "$ROOT" "$ROOT/tests/test_cuda" \
        "$ROOT/tests/test_ops/test_partition.py" "$ROOT/tests/test_engine/test_hooks/test_time_limit_hook.py"
    tell_end tests tests 25
fi

# --- Benchmark

if ! skipped benchmark; then
    limit=$((budget / 4))
    options=(--device "$device" --out "$OUT/benchmark.json" --seconds 0.3)
    # No counter is begun in the last third: one takes some seconds, and the table comes at the end.
    options+=(--minutes "$("$PYTHON" -c "print($limit * 2 / 3 / 60)")")
    [[ $device == cuda ]] || options+=(--quick)
    step benchmark "$limit" "$PYTHON" "$ROOT/tools/benchmarks/gpu.py" "${options[@]}"
    tell_end benchmark benchmark 100
fi

# --- Training: as long as the time allows for a last validation, test and packing

if skipped training; then
    :
elif ! compgen -G "$PACK/data.tar.part-*" > /dev/null; then
    say 'training: left out, no data.tar.part-* in the folder'
elif ! (cd "$PACK" && sha256sum --quiet --check data.sha256) > "$WORK/logs/data.log" 2>&1; then
    say 'training: left out, parts of the data are missing or damaged'
    tell_end data data
    status=1
else
    cat "$PACK"/data.tar.part-* | tar -x -C "$WORK/data" || { say 'data: FAILED'; exit 1; }
    rm -rf "$WORK/run"
    mkdir -p "$WORK/run"
    # The scalars of an earlier part of this training, for the curves.
    [[ -f $PACK/logs.tar.gz ]] && tar -xzf "$PACK/logs.tar.gz" -C "$WORK/run" --strip-components=1 run
    reserve=$((budget / 6 < 75 ? budget / 6 : 75))
    seconds=$(($(left) - reserve - startup))
    workers=$(($(nproc) < 12 ? $(nproc) : 12))
    options=("default_hooks.time_limit.type=TimeLimitHook" "default_hooks.time_limit.seconds=$seconds"
        "train_dataloader.num_workers=$workers")
    read -ra extra <<< "${CFG_OPTIONS:-}"
    options+=(${extra[@]+"${extra[@]}"})
    for file in "$PACK"/weights/*.pth; do
        [[ -f $file ]] && options+=("model.backbone.init_cfg.checkpoint=$file")
    done
    resume=()
    if compgen -G "$PACK/checkpoint.pth.part-*" > /dev/null; then
        cat "$PACK"/checkpoint.pth.part-* > "$WORK/before.pth"
        resume=(--resume "$WORK/before.pth")
        say 'training: goes on from the checkpoint in the folder'
    fi
    if ((seconds < 20)); then
        say "training: left out, only $seconds s are left for it"
        status=1
    else
        step training $((startup + seconds + reserve / 2)) "$PYTHON" "$ROOT/tools/train.py" "$config" \
            --work-dir "$WORK/run" ${resume[@]+"${resume[@]}"} --cfg-options "${options[@]}"
        tell_end training training 6
    fi
    # The last one, or of a training that was stopped the best or an earlier one.
    checkpoint=$(find "$WORK/run" -maxdepth 1 -name '*.pth' -printf '%T@ %p\n' 2> /dev/null | sort -n | tail -n 1 | cut -d' ' -f2-)
    if [[ -n $checkpoint ]]; then
        step slim 60 "$PYTHON" "$ROOT/tools/misc/slim_checkpoint.py" "$checkpoint" "$WORK/slim.pth" && {
            rm -f "$OUT"/checkpoint.pth.part-*
            split -b 15M -d "$WORK/slim.pth" "$OUT/checkpoint.pth.part-"
            tell_end checkpoint slim 1
        }
        step curves 60 env -C "$WORK" "$PYTHON" "$ROOT/tools/analysis_tools/plot_curves.py" run --out "$OUT/curves.png"
        if (($(left) > startup + 10)); then
            before=$status
            step test $(($(left) - 5)) "$PYTHON" "$ROOT/tools/test.py" "$config" "$WORK/slim.pth" \
                --work-dir "$WORK/test" --cfg-options "test_dataloader.num_workers=$((workers < 4 ? workers : 4))" ${extra[@]+"${extra[@]}"}
            [[ $? == 124 ]] && status=$before  # it is what the time is left for
            tell_end test test 2
        fi
    fi
fi

(
    cd "$WORK" || exit 1
    find run -path '*/vis_data/scalars.json' -o -name '*.log' -path 'run/*' 2> /dev/null | sort > files.txt
    echo logs >> files.txt
    tar -czf "$OUT/logs.tar.gz" -T files.txt
) || status=1
say "end, status $status; in $OUT: $(cd "$OUT" && ls | tr '\n' ' ')"
exit $status
