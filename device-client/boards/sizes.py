#!/usr/bin/env python3
"""Flash and static RAM of the firmware of each real board, as a Markdown table.

    sizes.py [--no-build] [--check | --record]

Builds the firmware of each board unless told not to. --record writes the table to sizes.md,
--check fails if a firmware is more than 1 % larger than it says there. Flash is vectors, code,
constants and initial values; static RAM has arena and network buffers, and no stack. Needs LLVM's
size on the PATH.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
RECORD = HERE / "sizes.md"
BOARDS = ["nrf52840-dk", "nucleo-f767zi"]
HEAD = "| board | flash, bytes | static RAM, bytes |\n|---|--:|--:|\n"


def firmware(board: str, build: bool) -> pathlib.Path:
    folder = HERE / board
    if build:
        subprocess.run(["cargo", "build", "--quiet", "--locked", "--release"], check=True, cwd=folder)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    return target / "thumbv7em-none-eabihf/release" / board


def size(elf: pathlib.Path) -> tuple[int, int]:
    """Flash and static RAM, bytes."""
    done = subprocess.run(["llvm-size", "-A", str(elf)], check=True, capture_output=True, text=True)
    rows = (row.split() for row in done.stdout.splitlines())
    sizes = {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[1].isdigit()}
    flash = sum(sizes.get(name, 0) for name in (".vector_table", ".text", ".rodata", ".data"))
    return flash, sum(sizes.get(name, 0) for name in (".data", ".bss", ".uninit"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    found = {board: size(firmware(board, not args.no_build)) for board in BOARDS}
    table = HEAD + "".join(f"| {board} | {flash:,} | {ram:,} |\n"
                           for board, (flash, ram) in found.items())
    print(table, end="")
    if args.record:
        RECORD.write_text(table)
    if args.check:
        rows = re.findall(r"^\| (\S+) \| ([\d,]+) \| ([\d,]+) \|$", RECORD.read_text(), re.MULTILINE)
        known = {board: tuple(int(n.replace(",", "")) for n in both) for board, *both in rows}
        for board, sizes in found.items():
            if any(now > 1.01 * then for now, then in zip(sizes, known[board])):
                print(f"{board}: {sizes}, {known[board]} are recorded", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
