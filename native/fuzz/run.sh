#!/usr/bin/env bash
# Runs every fuzz target, or those named, for SECONDS_EACH seconds (10) on what the corpus holds.
# On stable Rust: the instrumentation that libFuzzer wants is given to LLVM by hand.
#
#     SECONDS_EACH=3600 native/fuzz/run.sh gorilla
#
# New inputs that reach new code go to the corpus with KEEP=1; a failing one stays in artifacts/.
set -euo pipefail
cd "$(dirname "$0")"
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cd fuzz_targets && ls | sed 's/\.rs$//')
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target the flags stay away from build scripts, which must not be instrumented.
cargo build --release --quiet --target "$host" --bins
failed=0
for target in "${targets[@]}"; do
  mkdir -p "artifacts/$target"
  fresh=$(mktemp -d)
  if "target/$host/release/$target" -max_total_time="${SECONDS_EACH:-10}" -max_len=8192 \
    -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="artifacts/$target/" \
    "$fresh" "corpus/$target" >"artifacts/$target.log" 2>&1; then
    echo "$target: $(grep -oE 'number_of_executed_units: *[0-9]+' "artifacts/$target.log") ok"
  else
    echo "$target: FAILED, see native/fuzz/artifacts/$target.log"
    tail -n 30 "artifacts/$target.log"
    failed=1
  fi
  if [ -n "${KEEP:-}" ]; then
    # The fewest inputs that reach all that is reached, of the old and the new ones.
    kept=$(mktemp -d)
    "target/$host/release/$target" -merge=1 "$kept" "corpus/$target" "$fresh" 2>/dev/null
    find "corpus/$target" -type f ! -name 'seed-*' -delete
    find "$kept" -type f -size -4k -exec cp {} "corpus/$target/" \;
    rm -rf "$kept"
  fi
  rm -rf "$fresh"
done
exit "$failed"
