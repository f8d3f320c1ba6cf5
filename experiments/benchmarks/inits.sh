#!/usr/bin/env bash
# Where quantised kernels start, compared by what they end with: `experiments/benchmarks/inits.sh PRESET [--field.name
# value ...]` trains the preset from each start with each seed of $SEEDS, and prints the test accuracies. On two cores:
#   experiments/benchmarks/inits.sh cifar10-resnet18-binary-4bit-parallel --model.width 8 --epochs 10 --data.dir DIR
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
runs=${RUNS:-runs/inits}
preset=${1:?a preset of python -m experiments.train}
shift
for seed in ${SEEDS:-0 1 2}; do
  for init in he-normal uniform; do
    run="$runs/$preset-$init-$seed"
    if [ -e "$run/config.json" ]; then
      "$python" -m experiments.train --resume "$run"
    else
      "$python" -m experiments.train "$preset" "$@" --seed "$seed" --model.init "$init" --out "$run"
    fi
  done
done
for summary in "$runs/$preset"-*/summary.json; do
  printf '%s ' "$(dirname "$summary")"
  "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["test_accuracy"])' "$summary"
done
