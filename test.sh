#!/bin/bash
# Checks everything: format, lints, no_std builds, all tests (the firmware in QEMU and a Leshan client
# against the server among them), the firmware against an independent server, and the demo. One
# command, the same on a developer's machine and in CI.
#
#   ./test.sh           everything; installs missing Debian packages if it may
#   ./test.sh --quick   format, lints and the workspace's tests only; what needs a tool that is
#                       missing (QEMU, Java) is skipped and says so
#
# Builds go to target/ (or $CARGO_TARGET_DIR) with the release profile, so that the program, the
# tests and the demo share one build of the dependencies.
set -euo pipefail
cd "$(dirname "$0")"

quick=
case "${1-}" in
'') ;;
--quick) quick=1 ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    [ "$1" = --help ] && exit 0
    exit 2
    ;;
esac

start=$SECONDS
timings=()
step_name=
step_start=0

finish_step() {
    [ -z "$step_name" ] || timings+=("$(printf '%5d s  %s' $((SECONDS - step_start)) "$step_name")")
    step_name=
}

step() {
    finish_step
    step_name=$1
    step_start=$SECONDS
    printf '\n== %s\n' "$1"
}

report() {
    status=$?
    failed=$step_name
    finish_step
    printf '\n'
    printf '%s\n' "${timings[@]-}"
    printf '%5d s  total\n' $((SECONDS - start))
    if [ "$status" -ne 0 ]; then
        echo "FAILED: ${failed:-start}" >&2
    fi
}
trap report EXIT

have() {
    command -v "$1" > /dev/null 2>&1
}

# The Debian packages of the tools that are missing.
missing_packages() {
    have cc || echo build-essential
    [ -n "$quick" ] || have qemu-system-arm || echo qemu-system-arm
    [ -n "$quick" ] || have javac || echo openjdk-17-jdk-headless
    [ -n "$quick" ] || have mvn || echo maven
    [ -n "$quick" ] || have python3 || echo python3
    [ -n "$quick" ] || have llvm-objdump || echo llvm
}

step "tools"
if ! have cargo; then
    echo "Rust is missing: install rustup from https://rustup.rs and run this again" >&2
    exit 1
fi
packages=$(missing_packages | tr '\n' ' ')
if [ -n "$packages" ]; then
    if have apt-get && [ "$(id -u)" -eq 0 ]; then
        echo "installing $packages"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages > /dev/null
    else
        echo "missing; run this first: sudo apt-get install -y $packages" >&2
        exit 1
    fi
fi
# rust-toolchain.toml names the toolchain; a `stable` of the same version does as well.
channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! cargo --version > /dev/null 2>&1; then
    if rustup run stable rustc --version 2> /dev/null | grep -q "^rustc $channel "; then
        export RUSTUP_TOOLCHAIN=stable
    else
        rustup toolchain install "$channel" --profile minimal --component rustfmt,clippy
    fi
fi
targets=thumbv7em-none-eabihf
if [ -z "$quick" ] && ! rustc --print target-libdir --target "$targets" | xargs test -d; then
    rustup target add "$targets" ${RUSTUP_TOOLCHAIN:+--toolchain "$RUSTUP_TOOLCHAIN"}
fi
rustc --version

step "format"
cargo fmt --all --check
if [ -z "$quick" ]; then
    (cd device-client/boards/qemu-mps2 && cargo fmt --check)
fi

if [ -z "$quick" ]; then
    # The protocol cores and the runtime have no operating system to call and no heap.
    for crate in lwm2m-objects tinsmith-coap tinsmith-package tinsmith-module tinsmith-client; do
        step "no_std: $crate"
        cargo build --locked --release -p "$crate" --no-default-features --target "$targets"
    done

    step "firmware for QEMU"
    (
        cd device-client/boards/qemu-mps2
        cargo clippy --locked --release --features temperature -- -D warnings
        cargo build --locked --release --features temperature
        built=${CARGO_TARGET_DIR:-target}/thumbv7em-none-eabihf/release
        cp "$built/firmware" "$built/firmware-temperature"
        cargo clippy --locked --release -- -D warnings
        cargo build --locked --release
        python3 limits.py --frame 1024 --data 512 "$built/firmware"
    )
fi

step "lints"
cargo clippy --locked --release --workspace --all-targets -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --workspace --no-deps --quiet

# Tests that need Java, Maven or QEMU fail instead of being skipped.
if [ -z "$quick" ]; then
    export TINSMITH_REQUIRE_TOOLS=1
fi

step "tests"
cargo test --locked --release --workspace

if [ -z "$quick" ]; then
    board=device-client/boards/qemu-mps2
    step "firmware in QEMU: flash, clock, network"
    python3 $board/tests/host.py

    step "firmware in QEMU with an object of an application"
    python3 $board/tests/sensor.py --elf \
        "${CARGO_TARGET_DIR:-$board/target}/thumbv7em-none-eabihf/release/firmware-temperature"

    step "firmware in QEMU against an independent server, with power cuts"
    module=$(mktemp)
    "${CARGO_TARGET_DIR:-target}/release/tinsmith" compile motion --target qemu-mps2-an386 \
        -o "$module"
    python3 $board/tests/lwm2m.py --module "$module" --cuts 5 --stack 6144
    rm -f "$module"

    step "the same bytes from a compiler built for another CPU"
    cargo test --locked --release --workspace --test same_bytes -- --ignored --nocapture

    step "demo"
    cargo test --locked --release --workspace --test demo -- --ignored --nocapture
fi
