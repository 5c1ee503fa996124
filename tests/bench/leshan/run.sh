#!/bin/bash
# Registrations per second of `tinsmith serve` (every one durable before it is answered, with the
# HTTP API and the reconciler) beside Leshan's server library (in memory), one after the other on
# loopback, with the same load.
#
#   tests/bench/leshan/run.sh [COUNT [WINDOW [SOCKETS [ROUNDS [secure]]]]]
#
# COUNT Registers in a round (50,000), at most WINDOW of them unanswered (64), from SOCKETS sockets
# (16), ROUNDS rounds (4). Both servers are started once and see other names in each round, while
# the other is stopped; the first warms Leshan's virtual machine. Needs a JDK 17 and Maven. With `secure` each device makes a
# DTLS handshake with a pre-shared key first, from a socket of its own.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
count=${1:-50000}
window=${2:-64}
sockets=${3:-16}
rounds=${4:-4}
secure=${5:-}
key=000102030405060708090a0b0c0d0e0f
# The load makes as many for each socket.
count=$((count / sockets * sockets))

for tool in cargo mvn java curl; do
    command -v "$tool" > /dev/null || { echo "$tool is missing: apt-get install openjdk-17-jdk-headless maven curl, and rustup" >&2; exit 1; }
done
(cd "$root" && cargo build --locked --release --workspace --bins --quiet)
mvn -q -B compile dependency:build-classpath > /dev/null
bin=${CARGO_TARGET_DIR:-$root/target}/release

folder=$(mktemp -d)
pids=()
end() {
    kill -CONT "${pids[@]}" 2> /dev/null || true
    kill "${pids[@]}" 2> /dev/null || true
    wait 2> /dev/null || true
    rm -rf "$folder"
}
trap end EXIT

# Waits for a line that has what is looked for, and prints it.
line() {
    for _ in $(seq 200); do
        grep -m1 "$2" "$1" 2> /dev/null && return
        sleep 0.1
    done
    echo "no '$2' in 20 s:" >&2
    cat "$1" >&2
    return 1
}

# Processor time of a process (microseconds).
worked() {
    awk -v tick="$(getconf CLK_TCK)" '{ printf "%.0f", ($14 + $15) * 1000000 / tick }' "/proc/$1/stat"
}

resident() {
    awk '/VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"
}

# As long as this pipe is open, Leshan runs.
mkfifo "$folder/hold"
exec 9<> "$folder/hold"
java -cp "target/classes:$(cat target/classpath.txt)" tinsmith.bench.Incumbent ${secure:+"$key"} \
    < "$folder/hold" > "$folder/leshan" 2> "$folder/leshan.log" &
leshan=$!
pids+=("$leshan")
"$bin/tinsmith" serve --store "$folder/store" --coap 127.0.0.1:0 --bootstrap 127.0.0.1:0 \
    --coaps 127.0.0.1:0 --coaps-bootstrap 127.0.0.1:0 --http 127.0.0.1:0 --trust-loopback --json > "$folder/tinsmith" 2> "$folder/tinsmith.log" &
tinsmith=$!
pids+=("$tinsmith")

scheme=coap${secure:+s}
leshan_at=$(line "$folder/leshan" "$scheme://" | sed "s|$scheme://||")
said=$(line "$folder/tinsmith" '"coap"')
field() {
    sed "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/" <<< "$said"
}
tinsmith_at=$(field "$scheme")
if [ -n "$secure" ]; then
    TINSMITH_KEY=$key "$bin/tinsmith" credential new 'load-*' --identity load --for management \
        --server "$(field url)" --store "$folder/store"
fi

printf '%-10s %-6s %14s %12s %14s\n' server round registered/s 'us CPU each' 'resident MiB'
for round in $(seq "$rounds"); do
    first=$(((round - 1) * count))
    for name in leshan tinsmith; do
        at=${name}_at
        other=tinsmith
        if [ $name = tinsmith ]; then other=leshan; fi
        kill -STOP "${!other}"
        before=$(worked "${!name}")
        if [ -z "$secure" ]; then
            said=$("$bin/load" "${!at}" "$count" "$window" "$sockets" "$first")
        else
            # Leshan has an identity for each device.
            identity=load
            if [ $name = leshan ]; then identity='load-*'; fi
            said=$("$bin/load-secure" "${!at}" "$identity" "$key" "$count" "$window" "$first")
        fi
        each=$((($(worked "${!name}") - before) / count))
        kill -CONT "${!other}"
        printf '%-10s %-6s %14s %12s %14s\n' "$name" "$round" \
            "$(sed 's|.* \([0-9]*\)/s|\1|' <<< "$said")" "$each" "$(resident "${!name}")"
    done
done
