#!/usr/bin/env bash
# What to measure when a GPU is at hand, in one command: `experiments/benchmarks/gpu.sh [NAME...]`, by default stbp,
# memory, integer_layers and train_speed. Results go to $OUT, or experiments/benchmarks/results. One that fails does not
# keep the others from running. Without a GPU it runs small versions.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
out=${OUT:-experiments/benchmarks/results}
export PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false
backend=$("$python" -c 'import jax; print(jax.default_backend())') || exit 1
[ $# -gt 0 ] || set -- stbp memory integer_layers train_speed

options_of() { # NAME
  case $backend-$1 in
    cpu-stbp) echo --width 8 --steps 4 --batch 8 --rounds 1 ;;
    cpu-memory) echo --steps 1 4 --width 8 ;;
    cpu-integer_layers) echo --parts widths --outputs 8 32 --batch 8 --rounds 1 ;;
    cpu-train_speed) echo --width 8 --batches 16 --rounds 1 ;;
    *-memory) echo --steps 1 4 16 ;;
    *-integer_layers) echo --parts widths --outputs 16 64 256 ;;
  esac
}

failed=()
for name in "$@"; do
  printf '\n== %s\n' "$name"
  read -ra options <<<"$(options_of "$name")"
  "$python" -m "experiments.benchmarks.$name" "${options[@]}" --out "$out" || failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
