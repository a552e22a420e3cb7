#!/usr/bin/env bash
# Runs every fuzz target, or those named, for SECONDS_EACH seconds (10) on what the corpus holds,
# JOBS (1) at a time. On stable Rust: the instrumentation that libFuzzer wants is given to LLVM by
# hand.
#
#     SECONDS_EACH=3600 native/fuzz/run.sh gorilla
#
# New inputs that reach new code go to the corpus with KEEP=1; a failing one stays in artifacts/.
# SEED makes a run try the same inputs as the one before it.
# Prints a line for each target, ending in "ok" or beginning with "FAILED".
set -euo pipefail
cd "$(dirname "$0")"
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cd fuzz_targets && ls | sed 's/\.rs$//')
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target the flags stay away from build scripts, which must not be instrumented.
# Not all binaries: the one that writes seeds does not link with the flags.
cargo build --release --quiet --target "$host" "${targets[@]/#/--bin=}"

fuzz() {
  local target=$1 status=0 fresh
  local log="artifacts/$target.log"
  mkdir -p "artifacts/$target"
  fresh=$(mktemp -d)
  # The timeout is of the wall clock, and a machine may be busy.
  "target/$host/release/$target" -seed="${SEED:-0}" -max_total_time="${SECONDS_EACH:-10}" \
    -max_len=8192 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="artifacts/$target/" "$fresh" "corpus/$target" >"$log" 2>&1 || status=1
  if [ "$status" = 0 ]; then
    local runs before after
    runs=$(sed -n 's/.*number_of_executed_units: *//p' "$log")
    before=$(sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p' "$log" | head -n 1)
    after=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    echo "$target: $runs runs, coverage $before to $after, ok"
  else
    tail -n 30 "$log"
    echo "FAILED $target, see native/fuzz/$log"
  fi
  if [ -n "${KEEP:-}" ]; then
    # The fewest inputs that reach all that is reached, of the old and the new ones.
    local kept
    kept=$(mktemp -d)
    "target/$host/release/$target" -merge=1 "$kept" "corpus/$target" "$fresh" 2>/dev/null
    find "corpus/$target" -type f ! -name 'seed-*' -delete
    find "$kept" -type f -size -4k -exec cp {} "corpus/$target/" \;
    rm -rf "$kept"
  fi
  rm -rf "$fresh"
  return "$status"
}

failed=0
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-1}" ]; do wait -n || failed=1; done
  fuzz "$target" &
done
while [ -n "$(jobs -p)" ]; do wait -n || failed=1; done
exit "$failed"
