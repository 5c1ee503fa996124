#!/usr/bin/env python3
"""Runs the selftest firmware in QEMU against a UDP echo; exits with the firmware's exit code.

    tests/host.py [ELF]
"""

import os
import pathlib
import socket
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT_S = 120


def echo(udp: socket.socket) -> None:
    """Sends every datagram back."""
    while True:
        data, peer = udp.recvfrom(2048)
        udp.sendto(data, peer)


def main() -> int:
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    elf = sys.argv[1] if len(sys.argv) > 1 else target / "thumbv7em-none-eabihf/release/selftest"
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    threading.Thread(target=echo, args=(udp,), daemon=True).start()
    port = str(udp.getsockname()[1])
    command = [str(HERE / "run.sh"), "--endpoint", "selftest", "--port", port, str(elf)]
    try:
        return subprocess.run(command, timeout=TIMEOUT_S, check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"the selftest did not end within {TIMEOUT_S} s", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
