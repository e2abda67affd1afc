#!/usr/bin/env bash
# Make the folder that tools/gpu_check.sh takes to a machine without network.
#   tools/gpu_pack.sh FOLDER [DATASET [WEIGHTS ...]]
# FOLDER gets, for Linux on x86-64 and the Python of PYTHON_VERSION (3.12):
#   wheels/              OpenMMLab's packages, and what they need beyond a usual PyTorch installation;
#                        torchvision of the version TORCHVISION (0.26, which goes with torch 2.11)
#                        and pillow, which it needs, for a Python that lacks them; with
#                        ALL_WHEELS=1 also numpy, SciPy, OpenCV, matplotlib, rich and pytest; in
#                        parts where they are larger than PART_MB
#   weights/             the given checkpoints in half precision
#   data.tar.part-*      the given dataset folder, such as data/ShanghaiTech/part_B, in parts of
#                        at most PART_MB (50) megabytes, and
#   data.sha256          the sums of the parts
# Run it where the network, this package and torch are.
set -euo pipefail

[[ $# -ge 1 ]] || { echo 'usage: tools/gpu_pack.sh FOLDER [DATASET [WEIGHTS ...]]' >&2; exit 2; }

FOLDER=$1
DATASET=${2:-}
WEIGHTS=("${@:3}")
PYTHON=${PYTHON:-python}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"

pinned() { sed -n "s/^\($1==[^ ;]*\).*/\1/p" "$ROOT/requirements/pinned.txt" | head -n 1; }

# In the versions that the tests run with; without their own requirements, which these lists spell out.
packages=("$(pinned mmengine)" "$(pinned mmcv-lite)" "$(pinned mmpretrain)"
    "torchvision==${TORCHVISION:-0.26}.*" pillow
    addict yapf platformdirs termcolor modelindex model-index ordered-set click mat4py einops
    importlib-metadata lazy-importer zipp setuptools hypothesis sortedcontainers)
if [[ -n ${ALL_WHEELS:-} ]]; then
    packages+=("$(pinned numpy)" "$(pinned scipy)" opencv-python-headless matplotlib contourpy cycler
        fonttools kiwisolver pyparsing python-dateutil six packaging markdown pyyaml rich
        markdown-it-py mdurl pygments pytest iniconfig pluggy timm huggingface-hub safetensors tqdm)
fi
mkdir -p "$FOLDER/wheels"
rm -f "$FOLDER"/wheels/*.whl.part-*
platforms=()
for name in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux_2_12 manylinux_2_5 manylinux2014 manylinux1; do
    platforms+=(--platform "${name}_x86_64")
done
"$PYTHON" -m pip download --quiet --no-deps --only-binary=:all: --implementation cp \
    --python-version "${PYTHON_VERSION:-3.12}" "${platforms[@]}" -d "$FOLDER/wheels" "${packages[@]}"
# What is larger than a part, as OpenCV is, becomes NAME.whl.part-*.
find "$FOLDER/wheels" -name '*.whl' -size +"$((${PART_MB:-50} * 1000000))c" | while read -r wheel; do
    split -b "${PART_MB:-50}MB" -d "$wheel" "$wheel.part-"
    rm "$wheel"
done

for file in ${WEIGHTS[@]+"${WEIGHTS[@]}"}; do
    mkdir -p "$FOLDER/weights"
    "$PYTHON" "$ROOT/tools/misc/slim_checkpoint.py" "$file" "$FOLDER/weights/$(basename "$file")"
done

if [[ -n $DATASET ]]; then
    rm -f "$FOLDER"/data.tar.part-*
    # BENCHMARK/PART, as the configs look for it below data/.
    tar -C "$DATASET/../.." -cf - "$(basename "$(dirname "$(realpath "$DATASET")")")/$(basename "$DATASET")" \
        | split -b "${PART_MB:-50}MB" -d - "$FOLDER/data.tar.part-"
    (cd "$FOLDER" && sha256sum data.tar.part-* > data.sha256)
fi
du -sh "$FOLDER"/*
