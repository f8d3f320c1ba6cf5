#!/usr/bin/env bash
# What to measure when a GPU is at hand, in one command of at most ten minutes: `experiments/benchmarks/gpu.sh [NAME...]`,
# by default train_speed, epoch, stbp, inference, memory and integer_layers. CIFAR-100, prepared or its parts, is read
# from $HDLIF_DATA_DIR; without it the epoch is one of random images. Results go to $OUT, or
# experiments/benchmarks/results; at the end it says what to run next. One that fails, or takes longer than its share of
# the time, does not keep the others from running. Without a GPU it runs small versions, which take as long as they take.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
out=${OUT:-experiments/benchmarks/results}
total=580 # seconds
export PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false
backend=$("$python" -c 'import jax; print(jax.default_backend())') || exit 1
[ $# -gt 0 ] || set -- train_speed epoch stbp inference memory integer_layers

share_of() { # NAME: seconds, on an H100
  case $1 in
    train_speed) echo 240 ;;
    epoch) echo 110 ;;
    inference) echo 100 ;;
    *) echo 43 ;;
  esac
}

options_of() { # NAME SECONDS
  case $backend-$1 in
    cpu-train_speed) echo --sizes 4x4 --stbp-sizes 4x4 --trainer-sizes 4x4 --rounds 1 --seconds 0 ;;
    cpu-epoch) echo --width 4 --batches 4 --images 16 ;;
    cpu-stbp) echo --width 4 --steps 2 --batch 2 --rounds 1 ;;
    cpu-inference) echo --widths 4 --batches 2 --rounds 1 ;;
    cpu-memory) echo --steps 1 2 --width 4 ;;
    cpu-integer_layers) echo --parts widths --outputs 8 32 --batch 8 --rounds 1 ;;
    *-train_speed) echo --trainer-sizes 64x64 --rounds 3 --seconds 2 --budget-seconds $(($2 - 30)) ;;
    *-epoch) echo --precisions bfloat16 ;;
    *-stbp) echo --steps 4 --rounds 6 ;;
    *-inference) echo --batches 256 ;;
    *-memory) echo --steps 1 4 ;;
    *-integer_layers) echo --parts widths --outputs 64 ;;
  esac
}

later=0 # shares of those that are still to come
for name in "$@"; do
  later=$((later + $(share_of "$name")))
done
SECONDS=0
failed=()
for name in "$@"; do
  later=$((later - $(share_of "$name")))
  limit=$((total - SECONDS - later)) # its own share, and what those before it left over
  printf '\n== %s\n' "$name"
  read -ra options <<<"$(options_of "$name" "$limit")"
  [ "$backend" != cpu ] || limit=0 # none
  timeout --kill-after=5 "$limit" "$python" -m "experiments.benchmarks.$name" "${options[@]}" --out "$out"
  code=$?
  case $code in
    0) ;;
    124 | 137) failed+=("$name (stopped after $limit s; what it had written is kept)") ;;
    *) failed+=("$name") ;;
  esac
done
printf '\n== what to run next (%s s in all)\n' "$SECONDS"
"$python" -m experiments.benchmarks.next_steps "$out"
if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
