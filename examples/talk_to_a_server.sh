#!/bin/sh
# How do I talk to the server from another program?
#
#     tinsmith serve          in one terminal
#     tinsmith host-device --endpoint bracelet-1 --bootstrap coap://127.0.0.1:5783 \
#         --target nrf52840 --flash bracelet-1.flash          in another
#     examples/talk_to_a_server.sh bracelet-1
#
# Needs curl, and the folder where the server runs, or TINSMITH_TOKEN. All requests: docs/http-api.md
set -eu
device=${1:-bracelet-1}
token=${TINSMITH_TOKEN:-$(cat "${TINSMITH_STORE:-tinsmith-data}/admin-token")}
api=${TINSMITH_SERVER:-http://127.0.0.1:8080}/api/v1
models=$(dirname "$0")/../models
json='content-type: application/json'

# The token is no argument: those are seen by others on this machine.
ask() {
    printf 'header = "Authorization: Bearer %s"\n' "$token" | curl -sS -K - "$@"
}

echo "--- the server"
ask "$api/server"; echo

echo "--- add a model: a shipped one under another name"
card=$(mktemp) && trap 'rm -f "$card"' EXIT
sed 's/"name": "motion"/"name": "my-motion"/' "$models/motion/card.json" > "$card"
ask "$api/models" -F card=@"$card" -F onnx=@"$models/motion/model.onnx" \
    -F calibration=@"$models/motion/calibration.npz" -F test=@"$models/motion/test.npz"; echo

echo "--- have $device run it; the answer comes when the decision is stored"
ask -X PUT "$api/devices/$device/model" -H "$json" -d '{"model": "my-motion"}' > /dev/null
state=
until [ "$state" = installed ]; do
    now=$(ask "$api/devices/$device" | sed 's/.*"state":"\([a-z]*\)".*/\1/')
    [ "$now" = "$state" ] || echo "$now"
    state=$now
    case $state in refused | failed | unsupported) exit 1 ;; esac
    sleep 0.1
done

echo "--- run it on a sample: 3 axes of 128 values in g, here lying still"
sample=$(awk 'BEGIN { for (i = 0; i < 384; i++) printf "%s%s", i ? "," : "", i < 128 ? 0 : i < 256 ? 0.3 : 0.9 }')
ask "$api/devices/$device/infer" -H "$json" -d "{\"input\": [$sample]}"; echo

echo "--- read a resource: State of the module in slot 0; write one: the lifetime"
ask "$api/devices/$device/resources/27303/0/7"; echo
ask -X PUT "$api/devices/$device/resources/1/0/1" -H "$json" -d '{"value": 120}'; echo

echo "--- an error says whose fault it is"
ask -w ' (%{http_code})\n' -X PUT "$api/devices/$device/resources/3/0/0" -H "$json" -d '{"value": "me"}'
