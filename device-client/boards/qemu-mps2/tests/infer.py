#!/usr/bin/env python3
"""Runs a module on the Cortex-M4 in QEMU, without a network.

    tests/infer.py --module FILE --inputs FILE --outputs FILE --input-bytes N
                   [--icount]

The inputs file holds one input tensor after the other, as the module stores them (input tensor 0
only), the outputs file is written likewise. With --icount time is counted in instructions (1 ns
each), so the printed times are exact and repeatable, and QEMU is slower.
"""

import argparse
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent.parent
MAGIC, DONE = b"TSIN", b"DONE"
PSRAM, CONTROL, INPUTS, OUTPUTS, END = 16 << 20, 0x200000, 0x201000, 0xA00000, 0xFF0000
TICK_NS = 40


def infer(elf, module: bytes, inputs: bytes, count: int, icount: bool) -> tuple[bytes, int, int]:
    """Outputs, ticks of all runs, ticks of the shortest."""
    if len(module) > CONTROL or len(inputs) > OUTPUTS - INPUTS:
        raise SystemExit("the module or the inputs do not fit the memory")
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(PSRAM)
        for at, data in ((0, module), (INPUTS, inputs),
                         (CONTROL, MAGIC + struct.pack("<II", len(module), count))):
            file.seek(at)
            file.write(data)
        file.flush()
        command = [str(HERE / "run.sh"), "--flash", file.name, str(elf)]
        if icount:
            command.insert(1, "--icount")
        subprocess.run(command, check=True, timeout=600)
        file.seek(CONTROL + 12)
        done, output_bytes, _, ticks, shortest = struct.unpack("<4sIIQQ", file.read(28))
        if done != DONE:
            raise SystemExit("the firmware did not finish")
        file.seek(OUTPUTS)
        return file.read(count * output_bytes), ticks, shortest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    parser.add_argument("--elf", default=target / "thumbv7em-none-eabihf/release/infer")
    parser.add_argument("--module", required=True, type=pathlib.Path)
    parser.add_argument("--inputs", required=True, type=pathlib.Path)
    parser.add_argument("--outputs", required=True, type=pathlib.Path)
    parser.add_argument("--input-bytes", required=True, type=int)
    parser.add_argument("--icount", action="store_true")
    args = parser.parse_args()
    module, inputs = args.module.read_bytes(), args.inputs.read_bytes()
    count, rest = divmod(len(inputs), args.input_bytes)
    if rest or not count:
        raise SystemExit(f"{len(inputs)} bytes are not inputs of {args.input_bytes} bytes")
    outputs, ticks, shortest = infer(args.elf, module, inputs, count, args.icount)
    args.outputs.write_bytes(outputs)
    unit, scale = ("instructions", TICK_NS) if args.icount else ("us", TICK_NS / 1000)
    print(f"{count} runs, mean {ticks * scale / count:.0f} {unit}, "
          f"shortest {shortest * scale:.0f} {unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
