#!/usr/bin/env python3
"""Stack frames of the firmware, from its disassembly, and what of its RAM has initial values.

    limits.py [--frame BYTES] [--data BYTES] [ELF]

Prints the largest frames and the size of .data; the exit code is 1 if one of them is above its
limit. A frame is what a function pushes and subtracts from the stack pointer; a stack pointer that
moves by a register is followed to the constant in it, and one that can't be followed is an error.
State that should be all zeros before the start and is not would show in .data. Needs LLVM's objdump
and size on the PATH.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SHOWN = 12

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
LINE = re.compile(r"^\s*[0-9a-f]+:\s+(\S+)\s*(.*?)(?:\s*[@;].*)?$")
NUMBER = re.compile(r"#(-?(?:0x)?[0-9a-f]+)")
RANGE = re.compile(r"([rsd])(\d+)\s*-\s*[rsd](\d+)")


def registers(text: str) -> int:
    """How many registers a list names."""
    count = 0
    for part in re.search(r"\{(.*)\}", text).group(1).split(","):
        found = RANGE.search(part)
        count += int(found.group(3)) - int(found.group(2)) + 1 if found else 1
    return count


class Frame:
    def __init__(self, name: str):
        self.name, self.bytes, self.constants, self.unknown = name, 0, {}, None

    def take(self, mnemonic: str, operands: str) -> None:
        base = mnemonic.split(".")[0]
        number = NUMBER.search(operands)
        value = int(number.group(1), 0) if number else None
        target = operands.split(",")[0].strip()
        if base == "push" or mnemonic.startswith("stmdb") and target == "sp!":
            self.bytes += 4 * registers(operands)
        elif base == "vpush":
            self.bytes += (8 if "d" in operands else 4) * registers(operands)
        elif base in ("mov", "movw") and value is not None:
            self.constants[target] = value
        elif base == "movt" and value is not None:
            self.constants[target] = self.constants.get(target, 0) & 0xFFFF | value << 16
        elif base in ("sub", "subw") and target == "sp":
            register = operands.split(",")[-1].strip()
            amount = value if value is not None else self.constants.get(register)
            if amount is None:
                self.unknown = f"{mnemonic} {operands}"
            else:
                self.bytes += amount
        elif base == "str" and target != "sp" and re.search(r"\[sp, #-(\d+|0x[0-9a-f]+)\]!", operands):
            self.bytes += abs(value)


def frames(elf: str) -> list[Frame]:
    command = ["llvm-objdump", "-d", "--no-show-raw-insn", "--demangle", elf]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = []
    for line in text.splitlines():
        if match := FUNCTION.match(line):
            found.append(Frame(match.group(1)))
        elif found and (match := LINE.match(line)):
            found[-1].take(match.group(1), match.group(2))
    return found


def data_bytes(elf: str) -> int:
    text = subprocess.run(["llvm-size", "-A", elf], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in text.splitlines())
    return next(int(row[1]) for row in rows if row and row[0] == ".data")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    parser.add_argument("elf", nargs="?",
                        default=str(target / "thumbv7em-none-eabihf/release/firmware"))
    parser.add_argument("--frame", type=int, default=sys.maxsize)
    parser.add_argument("--data", type=int, default=sys.maxsize)
    args = parser.parse_args()
    found = frames(args.elf)
    if not any(frame.bytes for frame in found):
        print(f"{args.elf} has no frames: is it a firmware?", file=sys.stderr)
        return 1
    for frame in sorted(found, key=lambda frame: -frame.bytes)[:SHOWN]:
        print(f"{frame.bytes:6}  {frame.name}")
    data = data_bytes(args.elf)
    print(f"{data:6}  .data")
    unknown = [frame for frame in found if frame.unknown]
    for frame in unknown:
        print(f"{frame.name}: cannot follow {frame.unknown}", file=sys.stderr)
    large = [frame for frame in found if frame.bytes > args.frame]
    return 1 if unknown or large or data > args.data else 0


if __name__ == "__main__":
    sys.exit(main())
