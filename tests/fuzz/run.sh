#!/bin/bash
# Fuzzes with libFuzzer on the project's own toolchain: guided by coverage, no nightly, no cargo-fuzz.
#
#   tests/fuzz/run.sh SECONDS [TARGET ...]     each target (all of them, if none is named) that long
#
# It starts from corpus/ and keeps what it finds in target/fuzz/corpus; an input that fails is put
# into target/fuzz/artifacts, and belongs into corpus/ with the fix.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:?usage: tests/fuzz/run.sh SECONDS [TARGET ...]}
shift
folder=${CARGO_TARGET_DIR:-target}/fuzz
host=$(rustc --print host-tuple)
export RUSTFLAGS="--cfg fuzzing -Coverflow-checks=yes -Cdebug-assertions=yes -Ccodegen-units=1
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --locked --release -p tinsmith-fuzz --features libfuzzer --bin fuzz \
    --target "$host" --target-dir "$folder"

targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(ls tests/fuzz/corpus)
for target in "${targets[@]}"; do
    echo "-- $target"
    mkdir -p "$folder/corpus/$target" "$folder/artifacts/$target"
    TINSMITH_FUZZ=$target "$folder/$host/release/fuzz" -max_total_time="$seconds" \
        -timeout=10 -rss_limit_mb=4096 -max_len=16384 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$folder/artifacts/$target/" \
        "$folder/corpus/$target" "tests/fuzz/corpus/$target"
done
