#!/usr/bin/env bash
# What to measure when a GPU is at hand, in one command: `benchmarks/gpu.sh [NAME...]`, by default all of
# train_speed, memory and step_time. Results go to $OUT, or benchmarks/results. Without a GPU it runs small versions.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
out=${OUT:-benchmarks/results}
export PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false
small=()
if [ "$($python -c 'import jax; print(jax.default_backend())')" = cpu ]; then
  small=(--width 8 --batch 16 --rounds 2)
fi
for name in "${@:-train_speed memory step_time}"; do
  for benchmark in $name; do
    printf '\n== %s\n' "$benchmark"
    case $benchmark in
      step_time) "$python" -m benchmarks.step_time "${small[@]}" --out "$out" ;;
      *) "$python" -m "benchmarks.$benchmark" --out "$out" ;;
    esac
  done
done
