#!/usr/bin/env python3
"""The firmware with an application's object (feature `temperature`) in QEMU.

    tests/sensor.py [--elf FIRMWARE]

The sensor (3303) is listed, read, observed and reset, by the same minimal server as in lwm2m.py.
Exit code 0 if everything was as it must be.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

from lwm2m import CHANGED, CONTENT, CON, ACK, GET, HERE, PUT, URI_PATH, Life, encode, expect

OBSERVE = 6


def observe(server, path, count, seconds):
    """The first `count` notified texts."""
    server.mid = server.mid + 1 & 0xFFFF
    token = os.urandom(4)
    options = [(OBSERVE, b"")] + [(URI_PATH, part.encode()) for part in path.strip("/").split("/")]
    server.udp.sendto(encode(CON, GET, server.mid, token, options), server.peer)
    texts, end = [], time.monotonic() + seconds
    while len(texts) < count and time.monotonic() < end:
        message = server.receive(end - time.monotonic())
        if message and message.token == token and message.code == CONTENT:
            texts.append(message.payload.decode())
            if message.kind == CON:
                server.udp.sendto(encode(ACK, 0, message.mid), server.peer)
    assert len(texts) == count, texts
    return texts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    parser.add_argument("--elf", type=pathlib.Path,
                        default=target / "thumbv7em-none-eabihf/release/firmware")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        life = Life(args, f"{folder}/flash")
        try:
            life.do_bootstrap()
            request = life.server.wait_request("/rd")
            assert b",</3303/0>," in request.payload, request.payload
            life.server.answer(request, 0x41, [(8, b"rd"), (8, b"1")])
            server = life.server
            assert server.text("/3303/0/5701") == "Cel"
            texts = observe(server, "/3303/0/5700", 4, 20)
            print("   notified", texts)
            assert len(set(texts)) > 1 and all(20 <= float(text) <= 21 for text in texts)
            lowest = float(server.text("/3303/0/5601"))
            server.execute("/3303/0/5605")
            assert float(server.text("/3303/0/5601")) >= lowest
            refused = server.request(PUT, "/3303/0/5700", payload=b"1")
            expect(refused, 0x85, "a write of what can't be written")
            assert expect(server.execute("/1/0/8"), CHANGED, "update")
        finally:
            life.qemu.kill()
            life.qemu.wait()
    print("-- all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
