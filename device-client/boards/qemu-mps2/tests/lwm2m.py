#!/usr/bin/env python3
"""Takes the firmware through its whole life in QEMU, as a minimal LwM2M server of its own.

    tests/lwm2m.py --module FILE [--samples FILE] [--cuts N] [--elf FIRMWARE]

Bootstrap with a trust anchor, registration, signed package by block-wise Write of /5/0/0, trial, commit, inference, reset,
again inference. It shares no code with the project: CoAP, TLV and the package are written here
from their specifications and docs/package-format.md. A samples file has lines of two hexadecimal
strings, input and expected output. --cuts repeats the second update N times, each time with a power
cut at another flash write, and wants the old or the new module running. --stack is how many bytes of
stack the firmware may have used in all this. Exit code 0 if everything was as it must be.
"""

import argparse
import hashlib
import os
import pathlib
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import ed25519

HERE = pathlib.Path(__file__).resolve().parent.parent
VENDOR = uuid.UUID("4e3c1f0a-7d52-4b9e-9a61-2c8f5d70b3e4")
SECRET = bytes(range(32))

CON, NON, ACK, RST = range(4)
GET, POST, PUT, DELETE = 1, 2, 3, 4
CREATED, DELETED, CHANGED, CONTENT, CONTINUE = 0x41, 0x42, 0x44, 0x45, 0x5F
URI_PATH, CONTENT_FORMAT, URI_QUERY, ACCEPT, LOCATION_PATH = 11, 12, 15, 17, 8
BLOCK2, BLOCK1, SIZE1, REQUEST_TAG = 23, 27, 60, 292
TEXT, OCTETS, TLV = 0, 42, 11542


# --- CoAP (RFC 7252, 7959) ---

def uint(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode(kind, code, mid, token=b"", options=(), payload=b"") -> bytes:
    out = bytearray([0x40 | kind << 4 | len(token), code]) + mid.to_bytes(2, "big") + token
    last = 0
    for number, value in sorted(options, key=lambda option: option[0]):
        nibbles, extra = [], b""
        for part in (number - last, len(value)):
            if part < 13:
                nibbles.append(part)
            elif part < 269:
                nibbles.append(13)
                extra += bytes([part - 13])
            else:
                nibbles.append(14)
                extra += (part - 269).to_bytes(2, "big")
        out += bytes([nibbles[0] << 4 | nibbles[1]]) + extra + value
        last = number
    return bytes(out + (b"\xff" + payload if payload else b""))


class Message:
    def __init__(self, data: bytes):
        self.kind, self.code = data[0] >> 4 & 3, data[1]
        self.mid = int.from_bytes(data[2:4], "big")
        at = 4 + (data[0] & 15)
        self.token, self.options, number = data[4:at], [], 0
        while at < len(data) and data[at] != 0xFF:
            parts, head = [], data[at]
            at += 1
            for nibble in (head >> 4, head & 15):
                if nibble == 13:
                    nibble, at = data[at] + 13, at + 1
                elif nibble == 14:
                    nibble, at = int.from_bytes(data[at:at + 2], "big") + 269, at + 2
                parts.append(nibble)
            number += parts[0]
            self.options.append((number, data[at:at + parts[1]]))
            at += parts[1]
        self.payload = data[at + 1:]

    def values(self, number):
        return [value for n, value in self.options if n == number]

    def number(self, number, default=None):
        values = self.values(number)
        return int.from_bytes(values[0], "big") if values else default

    @property
    def path(self):
        return "/" + "/".join(value.decode() for value in self.values(URI_PATH))

    def __str__(self):
        return f"{self.code >> 5}.{self.code & 31:02} {self.path} {self.payload[:40]!r}"


class Restarted(Exception):
    """The device bootstraps or registers in the middle of a request."""


class Endpoint:
    """One UDP port: requests go out one at a time, requests that come in are kept."""

    def __init__(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        self.peer, self.mid, self.requests, self.answered = None, 1, [], {}

    def receive(self, seconds):
        if not select.select([self.udp], [], [], max(seconds, 0))[0]:
            return None
        data, peer = self.udp.recvfrom(2048)
        message = Message(data)
        if message.kind == CON and (peer, message.mid) in self.answered:
            self.udp.sendto(self.answered[peer, message.mid], peer)
            return None
        if 1 <= message.code <= 31:
            self.peer = peer
            self.requests.append(message)
        return message

    def wait_request(self, path, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for message in self.requests:
                if message.path == path:
                    self.requests.remove(message)
                    return message
            self.receive(end - time.monotonic())
        raise SystemExit(f"no request for {path} within {seconds} s")

    def answer(self, request, code, options=()):
        data = encode(ACK, code, request.mid, request.token, options)
        self.answered[self.peer, request.mid] = data
        self.udp.sendto(data, self.peer)

    def request(self, code, path, options=(), payload=b""):
        self.mid = self.mid + 1 & 0xFFFF
        mid, token = self.mid, os.urandom(4)
        options = [(URI_PATH, part.encode()) for part in path.strip("/").split("/") if part] \
            + list(options)
        data = encode(CON, code, mid, token, options, payload)
        timeout, acknowledged = 2.0, False
        for _ in range(5):
            if not acknowledged:
                self.udp.sendto(data, self.peer)
            end = time.monotonic() + (30 if acknowledged else timeout)
            while time.monotonic() < end:
                message = self.receive(end - time.monotonic())
                if message and message.code == POST and message.path == "/rd":
                    raise Restarted
                if message is None or 1 <= message.code <= 31:
                    continue
                if message.kind == RST and message.mid == mid:
                    raise SystemExit(f"{path}: reset")
                if message.kind == ACK and message.mid == mid and message.code == 0:
                    acknowledged, end = True, time.monotonic() + 30
                elif message.token == token and message.code:
                    if message.kind == CON:
                        self.udp.sendto(encode(ACK, 0, message.mid), self.peer)
                    return message
            timeout *= 2
        raise SystemExit(f"{path}: no answer")

    def get(self, path, accept) -> bytes:
        body, block = b"", 0
        while True:
            options = [(ACCEPT, uint(accept))]
            if block:
                options.append((BLOCK2, uint(block << 4 | 6)))
            answer = expect(self.request(GET, path, options), CONTENT, path)
            body += answer.payload
            given = answer.number(BLOCK2)
            if given is None or not given & 8:
                return body
            block = (given >> 4) + 1
            assert given & 7 == 6, "the device cuts blocks smaller than 1,024 bytes"

    def text(self, path) -> str:
        return self.get(path, TEXT).decode()

    def put(self, path, body, content_format, tag=None, size=1024, start=0):
        exponent = size.bit_length() - 5
        extra = [(CONTENT_FORMAT, uint(content_format))]
        if len(body) <= size and tag is None:
            return expect(self.request(PUT, path, extra, body), CHANGED, path)
        if tag:
            extra.append((REQUEST_TAG, tag))
        count = -(-len(body) // size)
        for block in range(start, count):
            more = block + 1 < count
            options = extra + [(BLOCK1, uint(block << 4 | more << 3 | exponent))]
            if block == 0:
                options.append((SIZE1, uint(len(body))))
            part = body[block * size:(block + 1) * size]
            answer = self.request(PUT, path, options, part)
            expect(answer, CONTINUE if more else CHANGED, f"{path} block {block}")
        return answer

    def execute(self, path, argument=b""):
        return expect(self.request(POST, path, payload=argument), CHANGED, path)


def expect(message, code, what):
    if message.code != code:
        raise SystemExit(f"{what}: wanted {code >> 5}.{code & 31:02}, got {message}")
    return message


# --- TLV (LwM2M TS 1.1 §7.4.3) ---

def tlv(kind, number, value) -> bytes:
    head = kind << 6
    ident = bytes([number])
    if number > 255:
        head, ident = head | 0x20, number.to_bytes(2, "big")
    if len(value) < 8:
        return bytes([head | len(value)]) + ident + value
    width = 1 if len(value) < 256 else 2
    return bytes([head | width << 3]) + ident + len(value).to_bytes(width, "big") + value


def resource(number, value) -> bytes:
    if isinstance(value, bool):
        value = bytes([value])
    elif isinstance(value, int):
        width = next(width for width in (1, 2, 4, 8) if value < 1 << 8 * width - 1)
        value = value.to_bytes(width, "big")
    return tlv(3, number, value)


# --- the package (docs/package-format.md) ---

def head(major, value) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    width = next(width for width in (1, 2, 4, 8) if value < 1 << 8 * width)
    return bytes([major << 5 | 23 + width.bit_length()]) + value.to_bytes(width, "big")


def cbor(value) -> bytes:
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


def arena_bytes(module) -> int:
    """The arena that a module needs (docs/module-format.md): its segments, each aligned."""
    end = 0
    for at in range(48, 48 + 8 * module[40], 8):
        size, _, alignment = struct.unpack_from("<IBB", module, at)
        end = (-(-end >> alignment) << alignment) + size
    return end


def trust_anchor(secret) -> bytes:
    """COSE_Key (RFC 9052 §7)."""
    return cbor({1: 1, 3: -8, -1: 6, -2: ed25519.public_key(secret)})


def signature(secret, digest) -> bytes:
    """COSE_Sign1 with detached payload (RFC 9052 §4.2); the key id is its thumbprint (RFC 9679)."""
    protected = cbor({1: -8})
    thumbprint = cbor({1: 1, -1: 6, -2: ed25519.public_key(secret)})
    key_id = hashlib.sha256(thumbprint).digest()[:8]
    made = ed25519.sign(secret, cbor(["Signature1", protected, b"", digest]))
    return b"\xd2\x84" + cbor(protected) + cbor({4: key_id}) + b"\xf6" + cbor(made)


def package(module, capability_digest, sequence, trial, secret=SECRET) -> bytes:
    device_class = hashlib.sha1(VENDOR.bytes + capability_digest).digest()
    device_class = uuid.UUID(bytes=device_class[:16], version=5)
    digest = cbor([-16, hashlib.sha256(module).digest()])
    parameters = {
        1: VENDOR.bytes, 2: device_class.bytes, 3: digest, 14: len(module), -257: 1, -258: arena_bytes(module),
        -259: trial, -260: "model", -261: "1", -262: bytes(32), -263: "lwm2m.py",
    }
    common = {2: [[b"module"]], 4: cbor([20, parameters, 1, 15, 2, 15])}
    manifest = cbor({
        1: 1, 2: sequence, 3: cbor(common), 7: cbor([3, 15]),
        20: cbor([-257, 15, 20, {21: "#payload"}, 21, 15, 3, 15]),
    })
    sealed = cbor([-16, hashlib.sha256(cbor(manifest)).digest()])
    seal = cbor([sealed, signature(secret, sealed)] if secret else [sealed])
    return head(6, 107) + cbor({2: seal, 3: manifest, "#payload": module})


# --- the job ---

class Life:
    def __init__(self, args, flash):
        self.open()
        command = [str(HERE / "run.sh"), "--endpoint", "qemu-1", *self.options(), "--flash", flash]
        self.command, self.elf = command, str(args.elf)
        self.stack = 0
        self.qemu = self.start()

    def open(self):
        self.bootstrap, self.server = Endpoint(), Endpoint()

    def options(self):
        return ["--port", str(self.bootstrap.port)]

    def start(self, *more):
        qemu = subprocess.Popen([*self.command, *more, self.elf], stdout=subprocess.PIPE, text=True,
                                errors="replace")
        threading.Thread(target=self.console, args=(qemu.stdout,), daemon=True).start()
        return qemu

    def console(self, lines):
        """Shows what the firmware says; the most stack that it says it has used is kept."""
        for line in lines:
            print(line, end="", flush=True)
            if match := re.search(r"(\d+) bytes of stack", line):
                self.stack = max(self.stack, int(match.group(1)))

    def restart(self, *options):
        self.qemu.kill()
        self.qemu.wait()
        self.server.requests.clear()
        self.qemu = self.start(*options)

    def check_stack(self, limit):
        """The firmware says how much it has used when it is reset."""
        self.step("reset: how much of the stack was ever used")
        self.server.execute("/3/0/4")
        self.do_register()
        if not 0 < self.stack <= limit:
            raise SystemExit(f"{self.stack} bytes of stack were used, at most {limit} are to be")

    def step(self, what):
        print(f"-- {what}", flush=True)

    def do_bootstrap(self):
        request = self.bootstrap.wait_request("/bs")
        print("  ", request.values(URI_QUERY))
        self.bootstrap.answer(request, CHANGED)
        expect(self.bootstrap.request(DELETE, "/"), DELETED, "delete /")
        self.bootstrap.put("/0/1", self.account() + resource(1, False) + resource(10, 101), TLV)
        self.bootstrap.put("/1/0", resource(0, 101) + resource(1, 300) + resource(6, False)
                           + resource(7, b"U"), TLV)
        self.bootstrap.put("/27300/0", tlv(2, 14, tlv(1, 0, trust_anchor(SECRET))), TLV)
        expect(self.bootstrap.request(POST, "/bs"), CHANGED, "bootstrap finish")

    def account(self):
        """How the management server is to be talked to."""
        return resource(0, f"coap://10.0.2.2:{self.server.port}".encode()) + resource(2, 3)

    def do_register(self):
        request = self.server.wait_request("/rd")
        print("  ", request.values(URI_QUERY), request.payload.decode())
        self.server.answer(request, CREATED, [(LOCATION_PATH, b"rd"), (LOCATION_PATH, b"1")])

    def do_update(self, data, trial):
        server = self.server
        tag = hashlib.sha256(data).digest()[:8]
        begin = time.monotonic()
        server.put("/5/0/0", data, OCTETS, tag)
        took = time.monotonic() - begin
        print(f"   {len(data)} bytes in {took * 1000:.0f} ms, {len(data) / took / 1024:.0f} KiB/s")
        self.until("/5/0/3", "2")
        server.execute("/5/0/2")
        if not trial:
            # Until the self test has run, the module before is the active one.
            self.until("/5/0/3", "0")
        slot = None
        end = time.monotonic() + 30
        wanted = "3" if trial else "4"
        while slot is None and time.monotonic() < end:
            states = {slot: server.text(f"/27303/{slot}/7") for slot in (0, 1)}
            slot = next((slot for slot, state in states.items() if state == wanted), None)
        if slot is None:
            results = [server.text(f"/27303/{slot}/8") for slot in (0, 1)]
            raise SystemExit(f"no trial: {states}, results {results}, /5/0/5 "
                             + server.text("/5/0/5"))
        return slot

    def cut_update(self, module, samples, sequence, cut):
        """An update in which the power fails at the n-th flash write; ends with the new module."""
        self.step(f"update with a power cut at flash write {cut}")
        server = self.server
        self.restart("--cut", str(cut))
        self.do_register()
        data = package(module, server.get("/27300/0/13", OCTETS), sequence, 60)
        tag = hashlib.sha256(data).digest()[:8]
        for _ in range(2):
            try:
                self.go_on(data, tag, samples)
                return
            except Restarted:
                self.do_register()
                slots = [server.text(f"/27303/{slot}/7") for slot in (0, 1)]
                print(f"   after the cut: /5/0/3 is {server.text('/5/0/3')}, slots {slots}")
                assert "4" in slots, "one module is active"
                self.do_inference(samples)
        raise SystemExit("cut twice")

    def go_on(self, data, tag, samples):
        """The next steps of an update, from what the device says of itself."""
        server = self.server
        if server.text("/5/0/3") == "1" and any(
                server.get(f"/27303/{slot}/21", OCTETS) == tag for slot in (0, 1)):
            received = max(int(server.text(f"/27303/{slot}/22")) for slot in (0, 1))
            print(f"   goes on at {received} of {len(data)} bytes")
            server.put("/5/0/0", data, OCTETS, tag, start=received // 1024)
        elif server.text("/5/0/3") != "2":
            server.put("/5/0/0", data, OCTETS, tag)
        self.until("/5/0/3", "2")
        server.execute("/5/0/2")
        end, trial = time.monotonic() + 10, None
        while trial is None and time.monotonic() < end:
            trial = next((n for n in (0, 1) if server.text(f"/27303/{n}/7") == "3"), None)
        if trial is None:
            raise SystemExit("no trial")
        server.execute(f"/27303/{trial}/10")
        self.until(f"/27303/{trial}/7", "4")
        self.do_inference(samples)

    def until(self, path, wanted, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.server.text(path)
            if value == wanted:
                return
            time.sleep(0.05)
        raise SystemExit(f"{path} is {value}, not {wanted}; /5/0/5 is {self.server.text('/5/0/5')}")

    def do_inference(self, samples):
        server, latency = self.server, []
        begin = time.monotonic()
        for given, wanted in samples:
            server.put("/27304/0/5", given, OCTETS)
            server.execute("/27304/0/4")
            output = server.get("/27304/0/6", OCTETS)
            if output != wanted:
                raise SystemExit(f"output is {output.hex()}, not {wanted.hex()}")
            latency.append(int(server.text("/27304/0/14")))
        if samples:
            took = time.monotonic() - begin
            print(f"   {len(samples)} samples in {took:.2f} s as expected, latency on the device "
                  f"{min(latency)} to {max(latency)} us")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    parser.add_argument("--elf", default=target / "thumbv7em-none-eabihf/release/firmware")
    parser.add_argument("--module", required=True, type=pathlib.Path)
    parser.add_argument("--samples", type=pathlib.Path)
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--stack", type=int)
    args = parser.parse_args()
    module = args.module.read_bytes()
    lines = args.samples.read_text().splitlines() if args.samples else []
    samples = [tuple(bytes.fromhex(word) for word in line.split()) for line in lines]
    with tempfile.NamedTemporaryFile() as flash:
        life = Life(args, flash.name)
        try:
            live(life, module, samples)
            if args.stack is not None:
                life.check_stack(args.stack)
            for i in range(args.cuts):
                # From the first write to one after the last: 4 KiB sectors, 8 byte units, journal.
                last = len(module) // 8 + len(module) // 4096 + 120
                cut = 1 + i * last // max(args.cuts - 1, 1)
                life.cut_update(module, samples[:1], 10 + i, cut)
        finally:
            life.qemu.kill()
            life.qemu.wait()
    print("-- all is well")
    return 0


def live(life, module, samples):
    life.step("bootstrap")
    life.do_bootstrap()
    life.step("register")
    life.do_register()
    server = life.server
    capability = server.get("/27300/0/13", OCTETS)
    print("   capability", capability.hex())

    life.step("packages that nobody has signed, or another, are refused at their head")
    for secret in (None, bytes(32)):
        other = package(module, capability, 1, 60, secret)
        server.request(PUT, "/5/0/0", [(CONTENT_FORMAT, uint(OCTETS)), (BLOCK1, uint(8 | 6)),
                                       (SIZE1, uint(len(other)))], other[:1024])
        assert server.text("/5/0/3") == "0" and server.text("/5/0/5") == "5"
        assert server.text("/27303/0/8") == "2"

    life.step("a package for another device is refused")
    other = package(module, bytes(16), 1, 60)
    server.request(PUT, "/5/0/0", [(CONTENT_FORMAT, uint(OCTETS)), (BLOCK1, uint(8 | 6)),
                                   (SIZE1, uint(len(other)))], other[:1024])
    print(f"   /5/0/5 is {server.text('/5/0/5')}")
    assert server.text("/5/0/3") == "0" and server.text("/5/0/5") == "6"

    life.step("push and trial")
    slot = life.do_update(package(module, capability, 1, 60), trial=True)
    life.step(f"inference in the trial of slot {slot}")
    life.do_inference(samples[:3])
    life.step("commit")
    server.execute(f"/27303/{slot}/10")
    life.until(f"/27303/{slot}/7", "4")
    assert server.text("/5/0/3") == "0" and server.text("/5/0/5") == "1"
    life.do_inference(samples)

    life.step("reset")
    server.execute("/3/0/4")
    life.do_register()
    life.until(f"/27303/{slot}/7", "4")
    life.do_inference(samples[:3])

    life.step("power cut during a second trial: rolled back")
    second = life.do_update(package(module, capability, 2, 60), trial=True)
    assert second != slot, "the active slot is never written"
    life.restart()
    life.do_register()
    life.until(f"/27303/{slot}/7", "4")
    assert server.text(f"/27303/{second}/7") == "6", server.text(f"/27303/{second}/7")
    assert server.text(f"/27303/{second}/8") == "13", server.text(f"/27303/{second}/8")
    life.do_inference(samples[:3])

    life.step("an older package is refused, a newer one commits by itself")
    old = package(module, capability, 1, 0)
    server.request(PUT, "/5/0/0", [(CONTENT_FORMAT, uint(OCTETS)), (BLOCK1, uint(8 | 6)),
                                   (SIZE1, uint(len(old)))], old[:1024])
    print(f"   /5/0/5 is {server.text('/5/0/5')}")
    assert server.text("/5/0/3") == "0" and server.text("/5/0/5") == "8"
    third = life.do_update(package(module, capability, 3, 0), trial=False)
    assert third != slot and server.text("/5/0/5") == "1"
    life.do_inference(samples[:3])


if __name__ == "__main__":
    sys.exit(main())
