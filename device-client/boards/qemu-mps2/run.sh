#!/bin/sh
# Starts the firmware in QEMU. The console is stdout; the exit code is what the firmware leaves
# with (0 or 1), so a caller needs nothing but this process, and killing it kills QEMU.
#
#   run.sh [--endpoint NAME] [--port PORT | --bootstrap URI] [--identity TEXT --key HEX]
#          [--public HEX --private HEX --server HEX [--usage issued|authority]]
#          [--oscore-secret HEX --oscore-salt HEX --sender-id HEX --recipient-id HEX]
#          [--flash FILE] [--seconds N] [--icount] [--cut UNITS] [ELF]
#
# --port is the bootstrap server's UDP port on the host's loopback, which the guest sees as
# 10.0.2.2. --identity and --key are for a bootstrap server at coaps://; instead of them with the feature rpk
# the device's public and private key and the server's public key, with x509 and --usage certificates, the
# server's own or that of an authority above it, all DER. --oscore-... are for one at coap:// with the
# feature oscore. --flash FILE keeps PSRAM,
# and with it the emulated flash, in FILE over restarts of QEMU; without it the flash lives as long as QEMU, through resets. --seconds ends with 0 after N seconds.
# --cut resets in the middle of the n-th change of a flash unit since the start, once for each n.
# --icount counts time in instructions, 1 ns each, for measurements that can be repeated.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
endpoint=qemu-mps2
bootstrap=coap://10.0.2.2:5783
more=
flash=
seconds=0
icount=
cut=0
elf=${CARGO_TARGET_DIR:-$here/target}/thumbv7em-none-eabihf/release/firmware

while [ $# -gt 0 ]; do
    case $1 in
    --endpoint) endpoint=$2; shift 2 ;;
    --port) bootstrap=coap://10.0.2.2:$2; shift 2 ;;
    --bootstrap) bootstrap=$2; shift 2 ;;
    --identity | --key | --public | --private | --server | --usage | --oscore-secret \
        | --oscore-salt | --sender-id | --recipient-id)
        more="$more${1#--}=$2
"
        shift 2
        ;;
    --flash) flash=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --icount) icount=1; shift ;;
    --cut) cut=$2; shift 2 ;;
    -*) echo "run.sh: unknown option $1" >&2; exit 2 ;;
    *) elf=$1; shift ;;
    esac
done

seed=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
block=$(mktemp)
{
    printf 'tinsmith-launch-1\nendpoint=%s\nbootstrap=%s\n' "$endpoint" "$bootstrap"
    printf '%s' "$more"
    printf 'seed=%s\ncut=%s\nseconds=%s\n\0' "$seed" "$cut" "$seconds"
} > "$block"
# The open descriptor outlives the name, so nothing is left behind however QEMU ends.
exec 9< "$block"
rm -f "$block"

set -- -kernel "$elf" -device loader,file=/proc/self/fd/9,addr=0x21ff0000,force-raw=on
if [ -n "$icount" ]; then
    set -- "$@" -icount shift=0
fi
if [ -n "$flash" ]; then
    set -- "$@" -object "memory-backend-file,id=psram,size=16M,mem-path=$flash,share=on"
    machine=mps2-an386,memory-backend=psram
else
    machine=mps2-an386
fi
exec qemu-system-arm -machine "$machine" -display none -serial stdio -monitor none \
    -semihosting-config enable=on,target=native -nic user,model=lan9118 "$@" < /dev/null
