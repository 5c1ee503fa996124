#!/usr/bin/env python3
"""The firmware with DTLS in QEMU: bootstrap and registration at coaps:// with OpenSSL's s_server.

    tests/dtls.py [--elf FIRMWARE]

Identity and key of the bootstrap server come from the launcher, those of the management server from
the bootstrap. Between the guest and each server lies a relay that sees every datagram: it counts
handshakes, looks for anything that is not a record, and repeats old ones. The session has to outlive
a reset and a power cut. OpenSSL has no Connection IDs; the relay gives its server one address.
Exit code 0 if everything was as it must be. Needs `openssl` on the PATH.
"""

import argparse
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time

from lwm2m import HERE, Endpoint, Life, Restarted, resource

CLIENT_HELLO, HANDSHAKE, APPLICATION_DATA = 1, 22, 23


def records(datagram):
    """Content type, epoch and fragment of each record (RFC 6347 §4.1)."""
    while datagram:
        length = int.from_bytes(datagram[11:13], "big")
        if not 20 <= datagram[0] <= 25 or datagram[1] != 0xFE or len(datagram) < 13 + length:
            raise ValueError(f"no record of DTLS: {datagram[:16].hex()}")
        yield datagram[0], int.from_bytes(datagram[3:5], "big"), datagram[13:13 + length]
        datagram = datagram[13 + length:]


class Relay(threading.Thread):
    """Carries datagrams between the guest, wherever it is, and a server on the loopback."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.connect(("127.0.0.1", server))
        self.port = self.front.getsockname()[1]
        self.guest, self.hellos, self.sent, self.wrong = None, 0, [], []
        threading.Thread(target=self.backwards, daemon=True).start()
        self.start()

    def run(self):
        while True:
            data, self.guest = self.front.recvfrom(2048)
            try:
                self.hellos += sum(kind == HANDSHAKE and epoch == 0 and fragment[0] == CLIENT_HELLO
                                   for kind, epoch, fragment in records(data))
            except ValueError as wrong:
                self.wrong.append(wrong)
            try:
                self.back.send(data)
            except ConnectionRefusedError:
                pass

    def backwards(self):
        while True:
            try:
                data = self.back.recv(2048)
            except ConnectionRefusedError:
                continue
            if any(kind == APPLICATION_DATA for kind, _, _ in records(data)):
                self.sent.append(data)
            self.front.sendto(data, self.guest)

    def repeat(self):
        """Sends all records with data again that the server has ever sent."""
        for data in list(self.sent):
            self.front.sendto(data, self.guest)


class Wire:
    """s_server as a socket: what it decrypts is received, what is sent it encrypts."""

    def __init__(self, identity, key):
        self.identity, self.key = identity, key
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None
        self.start()

    def start(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        # What it writes at once is a message; a pipe would join two of them.
        self.end, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-dtls1_2", "-listen", "-quiet", "-nocert", "-4", "-port",
             str(self.port), "-cipher", "PSK-AES128-CCM8:@SECLEVEL=0", "-psk_identity",
             self.identity, "-psk", self.key],
            stdin=its, stdout=its)
        its.close()

    def fileno(self):
        return self.end.fileno()

    def recvfrom(self, limit):
        data = self.end.recv(limit)
        if not data:
            raise SystemExit("s_server has ended")
        return data, "s_server"

    def sendto(self, data, _peer):
        self.end.send(data)


class SecureEndpoint(Endpoint):
    def __init__(self, identity):
        self.udp = Wire(identity, secrets.token_hex(16))
        self.relay = Relay(self.udp.port)
        self.port = self.relay.port
        self.peer, self.mid, self.requests, self.answered = None, 1, [], {}


class SecureLife(Life):
    def open(self):
        self.bootstrap, self.server = SecureEndpoint("boot-1"), SecureEndpoint("device-1")
        self.starts = 0

    def options(self):
        wire = self.bootstrap.udp
        return ["--bootstrap", f"coaps://10.0.2.2:{self.bootstrap.port}", "--identity",
                wire.identity, "--key", wire.key]

    def account(self):
        wire = self.server.udp
        return (resource(0, f"coaps://10.0.2.2:{self.server.port}".encode()) + resource(2, 0)
                + resource(3, wire.identity.encode()) + resource(5, bytes.fromhex(wire.key)))

    def console(self, lines):
        def counted():
            for line in lines:
                self.starts += line.startswith("tinsmith ")
                yield line
        super().console(counted())

    def close(self):
        self.qemu.kill()
        self.qemu.wait()
        for endpoint in (self.bootstrap, self.server):
            endpoint.udp.process.kill()
            endpoint.udp.process.wait()


def live(life):
    server, relay = life.server, life.server.relay
    life.step("bootstrap and registration, each after a handshake")
    life.do_bootstrap()
    life.do_register()
    assert server.text("/3/0/0") == "Tinsmith"
    hellos = relay.hellos
    assert hellos and life.bootstrap.relay.hellos

    life.step("reset: registered again without a handshake")
    server.execute("/3/0/4")
    life.do_register()
    assert server.text("/3/0/0") == "Tinsmith"
    assert (relay.hellos, life.starts) == (hellos, 2), (relay.hellos, hellos, life.starts)

    life.step("power cut: the same; old records, the one that reset it among them, mean nothing")
    life.restart()
    request = server.wait_request("/rd")
    relay.repeat()
    time.sleep(0.5)
    server.requests.insert(0, request)
    life.do_register()
    relay.repeat()
    for _ in range(3):
        assert server.text("/3/0/0") == "Tinsmith"
        time.sleep(0.3)
    assert (relay.hellos, life.starts) == (hellos, 3), (relay.hellos, hellos, life.starts)

    life.step("a server that has forgotten the session: a handshake after 10 s")
    server.udp.start()
    life.restart()
    begin = time.monotonic()
    life.do_register()
    print(f"   after {time.monotonic() - begin:.1f} s")
    assert server.text("/3/0/0") == "Tinsmith"
    assert relay.hellos > hellos
    hellos = relay.hellos
    server.execute("/3/0/4")
    life.do_register()
    assert relay.hellos == hellos
    for endpoint in (life.bootstrap, server):
        assert not endpoint.relay.wrong, endpoint.relay.wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    parser.add_argument("--elf", type=pathlib.Path,
                        default=target / "thumbv7em-none-eabihf/release/firmware")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        life = SecureLife(args, f"{folder}/flash")
        try:
            live(life)
        except Restarted:
            raise SystemExit("the device has restarted by itself") from None
        finally:
            life.close()
    print("-- all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
