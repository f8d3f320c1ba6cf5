#!/usr/bin/env bash
# The paper's main row from the authors' files to a recorded result, in one call that can be repeated after any stop:
# `experiments/cifar100.sh CIFAR100_FILES [--field.name value ...]`, by default all 300 epochs in bfloat16.
# CIFAR100_FILES is the folder or archive of the binary version, as its authors distribute it.
set -euo pipefail
original=$(realpath "${1:?the folder or archive of CIFAR-100 (binary version)}")
shift
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
run=${RUN:-runs/cifar100-resnet18}
export PYTHONUNBUFFERED=1
"$python" -m experiments.prepare_data cifar100 --from "$original" --to data
if [ -e "$run/config.json" ]; then
  "$python" -m experiments.train --resume "$run"
else
  "$python" -m experiments.train cifar100-resnet18-ternary-4bit-parallel \
    --data.dir data --precision bfloat16 --out "$run" "$@"
fi
"$python" -m experiments.record "$run"
