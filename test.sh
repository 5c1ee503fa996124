#!/bin/bash
# Checks everything: format, lints, no_std builds, all tests (the firmware in QEMU and a Leshan client
# against the server among them), the firmware against an independent server, and the demo. One
# command, the same on a developer's machine and in CI.
#
#   ./test.sh           everything; installs missing Debian packages if it may
#   ./test.sh --quick   format, structure, lints and the workspace's tests only; what needs a tool
#                       that is missing (QEMU, Java, servers for DTLS) is skipped and says so
#   ./test.sh --long    everything with larger numbers, and each crate alone: a thousand kills, hundreds
#                       of power cuts, 10,000 random layers, 100,000 seeds, floods, half an hour of fuzzing for
#                       each target. Takes hours. A number that is in the environment already stays
#
# Builds go to target/ (or $CARGO_TARGET_DIR) with the release profile, so that the program, the
# tests and the demo share one build of the dependencies.
set -euo pipefail
cd "$(dirname "$0")"

quick=
long=
case "${1-}" in
'') ;;
--quick) quick=1 ;;
--long) long=1 ;;
*)
    sed -n '2,15s/^# \{0,1\}//p' "$0"
    [ "$1" = --help ] && exit 0
    exit 2
    ;;
esac

if [ -n "$long" ]; then
    export TINSMITH_KILLS=${TINSMITH_KILLS:-1000}
    export TINSMITH_CUTS=${TINSMITH_CUTS:-300}
    export TINSMITH_LAYERS=${TINSMITH_LAYERS:-10000}
    export TINSMITH_MUTATIONS=${TINSMITH_MUTATIONS:-20000}
    export TINSMITH_SEEDS=${TINSMITH_SEEDS:-100000}
    export TINSMITH_FLOOD=${TINSMITH_FLOOD:-200000}
    export TINSMITH_FUZZ_SECONDS=${TINSMITH_FUZZ_SECONDS:-1800}
    export PROPTEST_CASES=${PROPTEST_CASES:-10000}
fi

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
    have cc && have c++ && have make || echo build-essential
    # OpenSSL is built with the server.
    have perl || echo perl
    [ -n "$quick" ] || have pkg-config || echo pkg-config
    [ -n "$quick" ] || pkg-config --exists openssl 2> /dev/null || echo libssl-dev
    [ -n "$quick" ] || have qemu-system-arm || echo qemu-system-arm
    [ -n "$quick" ] || have javac || echo openjdk-17-jdk-headless
    [ -n "$quick" ] || have mvn || echo maven
    [ -n "$quick" ] || have python3 || echo python3
    [ -n "$quick" ] || python3 -c 'import ensurepip' > /dev/null 2>&1 || echo python3-venv
    [ -n "$quick" ] || have openssl || echo openssl
    [ -n "$quick" ] || have gnutls-serv && have gnutls-cli || echo gnutls-bin
    [ -n "$quick" ] || have coap-server-openssl && have coap-client-openssl || echo libcoap3-bin
    [ -n "$quick" ] || have llvm-objdump && have llvm-symbolizer || echo llvm
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
# What the crates of the device are built for. Cortex-M4 is the firmware's; M0+ has no atomic
# exchange, M33 another instruction set.
targets=(thumbv7em-none-eabihf thumbv6m-none-eabi thumbv8m.main-none-eabihf)
for target in "${targets[@]}"; do
    if [ -z "$quick" ] && ! rustc --print target-libdir --target "$target" | xargs test -d; then
        rustup target add "$target" ${RUSTUP_TOOLCHAIN:+--toolchain "$RUSTUP_TOOLCHAIN"}
    fi
done
rustc --version

step "format"
cargo fmt --all --check
if [ -z "$quick" ]; then
    (cd device-client/boards/qemu-mps2 && cargo fmt --check)
fi

step "structure: who knows whom, dependencies, documents"
cargo test --locked --release -p tinsmith-structure

if [ -z "$quick" ]; then
    # The protocol cores and the runtime have no operating system to call and no heap; with `alloc`
    # and `build` they have a heap.
    for target in "${targets[@]}"; do
        step "no_std: $target"
        for crate in lwm2m-objects tinsmith-coap tinsmith-dtls tinsmith-oscore tinsmith-package \
            tinsmith-module tinsmith-client; do
            cargo build --locked --release -p "$crate" --no-default-features --target "$target"
        done
        for heap in lwm2m-objects/alloc tinsmith-package/alloc tinsmith-module/build; do
            cargo build --locked --release -p "${heap%/*}" --no-default-features \
                --features "${heap#*/}" --target "$target"
        done
        cargo build --locked --release -p tinsmith-client --no-default-features \
            --features dtls,oscore --target "$target"
    done

    step "firmware for QEMU"
    (
        cd device-client/boards/qemu-mps2
        host=$(rustc -vV | sed -n 's/^host: //p')
        cargo test --locked -p tinsmith-embassy --features build --target "$host"
        cargo clippy --locked --release --features temperature -- -D warnings
        cargo build --locked --release --features temperature
        built=${CARGO_TARGET_DIR:-target}/thumbv7em-none-eabihf/release
        cp "$built/firmware" "$built/firmware-temperature"
        cargo clippy --locked --release -- -D warnings
        cargo build --locked --release
        python3 limits.py --frame 1024 --data 512 "$built/firmware"
    )

    step "firmware for real boards: lints, sizes"
    for board in nrf52840-dk nucleo-f767zi; do
        (
            cd device-client/boards/$board
            cargo fmt --check
            cargo clippy --locked --release -- -D warnings
        )
    done
    (
        cd device-client/boards/nrf52840-dk
        host=$(rustc -vV | sed -n 's/^host: //p')
        cargo test --locked --release --lib --target "$host"
    )
    python3 device-client/boards/sizes.py --check

    step "size of the client"
    python3 device-client/boards/qemu-mps2/size.py --check
fi

# Benchmarks of the compiler and the fuzzer are built nowhere else.
features=
[ -n "$quick" ] || features=tinsmith-bench/compiler,tinsmith-fuzz/libfuzzer
step "lints"
cargo clippy --locked --release --workspace --all-targets --features "$features" -- -D warnings

if [ -z "$quick" ]; then
    # Those of the device are used alone, by firmware.
    alone=(lwm2m-objects device-client)
    [ -z "$long" ] || alone=()
    step "each crate alone, with each of its features: ${alone[*]:-all}"
    cargo run --locked --release -p tinsmith-structure --bin each_crate -- "${alone[@]}"
fi

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --workspace --no-deps --quiet

# Tests that need Java, Maven, QEMU, aiocoap from PyPI or others' DTLS servers fail instead of
# being skipped.
if [ -z "$quick" ]; then
    export TINSMITH_REQUIRE_TOOLS=1
fi

step "tests"
cargo test --locked --release --workspace --exclude tinsmith-structure

if [ -z "$quick" ]; then
    board=device-client/boards/qemu-mps2
    step "firmware in QEMU: flash, clock, network"
    python3 $board/tests/host.py

    step "firmware in QEMU with DTLS"
    python3 $board/tests/dtls.py

    step "firmware in QEMU with an object of an application"
    python3 $board/tests/sensor.py --elf \
        "${CARGO_TARGET_DIR:-$board/target}/thumbv7em-none-eabihf/release/firmware-temperature"

    step "firmware in QEMU against an independent server, with power cuts"
    module=$(mktemp)
    "${CARGO_TARGET_DIR:-target}/release/tinsmith" compile motion --target qemu-mps2-an386 \
        -o "$module"
    python3 $board/tests/lwm2m.py --module "$module" --cuts "${TINSMITH_CUTS:-5}" --stack 6400
    rm -f "$module"

    if [ -n "$long" ]; then
        step "firmware in QEMU with each kind of security"
        (
            cd $board
            cargo clippy --locked --release --features x509,oscore -- -D warnings
            cargo build --locked --release --features x509,oscore --target-dir target/secure
            secure=target/secure/thumbv7em-none-eabihf/release/firmware
            python3 limits.py --frame 4200 --data 512 "$secure"
            cp "$secure" \
                "${CARGO_TARGET_DIR:-target}/thumbv7em-none-eabihf/release/firmware-secure"
        )
        cargo test --locked --release --workspace --test qemu_secure -- --ignored --nocapture
    fi

    step "the same bytes from a compiler built for another CPU"
    cargo test --locked --release --workspace --test same_bytes -- --ignored --nocapture

    step "demo"
    cargo test --locked --release --workspace --test demo -- --ignored --nocapture
fi

if [ -n "$long" ]; then
    step "flood: $TINSMITH_FLOOD registrations from 16 sockets"
    cargo build --locked --release -p tinsmith-bench --bins
    folder=$(mktemp -d)
    "${CARGO_TARGET_DIR:-target}/release/plain" "$folder/store" > "$folder/address" &
    server=$!
    until [ -s "$folder/address" ]; do sleep 0.1; done
    "${CARGO_TARGET_DIR:-target}/release/load" "$(cat "$folder/address")" "$TINSMITH_FLOOD" 512 16
    kill "$server"
    wait "$server" || true
    rm -rf "$folder"

    step "fuzzing, $TINSMITH_FUZZ_SECONDS s for each target"
    tests/fuzz/run.sh "$TINSMITH_FUZZ_SECONDS"
fi
