#!/usr/bin/env python3
"""Flash and static RAM of the firmware by part, as a Markdown table.

    size.py [ELF]

With link-time optimization functions of many crates end up in one symbol, so code is counted by
the line table: each halfword belongs to the innermost inlined function that is not from core.
Data belongs to the crate in its symbol's name; literals have none. Needs LLVM's nm, size and
symbolizer on the PATH, and a build with line tables (the release profile has them).
"""

import json
import os
import pathlib
import re
import subprocess
import sys
from collections import Counter

HERE = pathlib.Path(__file__).resolve().parent

# First match wins: pattern of the source path, pattern of the symbol.
PARTS = [
    ("LwM2M client", r"/device-client/client/", r"tinsmith_client"),
    ("CoAP", r"/device-client/coap/", r"tinsmith_coap"),
    ("objects, content formats", r"/lwm2m-objects/|/minicbor-|/lwm2m-objects-", r"lwm2m_objects|minicbor"),
    ("package, SHA-256", r"/device-client/package/|/(sha2|digest|block-buffer|uuid|sha1_smol)-",
     r"tinsmith_package|sha2|uuid|sha1_smol"),
    ("module loader and kernels", r"/device-client/module/", r"tinsmith_module"),
    ("network stack", r"/(smoltcp|embassy-net|managed|heapless)[-/]", r"smoltcp|embassy_net"),
    ("executor, time", r"/(embassy-|futures-|critical-section|static_cell)",
     r"embassy_(executor|time|sync|futures)|static_cell"),
    ("board, drivers", r"/boards/|/cortex-m|^src/|qemu-mps2", r"board::|node::|firmware::|selftest::"
     r"|cortex_m|^__|^ETHERNET$|^TIMER\d$|POOL"),
]
# The same for statics of the firmware that others own.
STATICS = [
    ("arena", r"memory::ARENA"),
    ("LwM2M client", r"node::(memory|run|client)"),
    ("network stack", r"net::(socket|start|run)"),
]
CORE = re.compile(r"^/rustc/|/library/(core|alloc|compiler-builtins)/|compiler_builtins")


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, check=True, capture_output=True, text=True)
    return done.stdout


def part_of(frames: list[dict]) -> str:
    """The part that an address belongs to, given its frames from the innermost outwards."""
    for frame in frames:
        path = frame["FileName"]
        if not path or CORE.search(path):
            continue
        for label, pattern, _ in PARTS:
            if re.search(pattern, path):
                return label
        return "other crates"
    return "core, compiler runtime"


def main() -> None:
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    elf = str(target / "thumbv7em-none-eabihf/release/firmware")
    if len(sys.argv) > 1:
        elf = sys.argv[1]

    sections = {}
    for row in map(str.split, run("llvm-size", "-A", elf).splitlines()):
        if len(row) == 3 and row[1].isdigit():
            sections[row[0]] = (int(row[2]), int(row[1]))

    flash: Counter[str] = Counter()
    ram: Counter[str] = Counter()
    start, size = sections[".text"]
    queries = "\n".join(hex(address) for address in range(start, start + size, 2))
    answers = run("llvm-symbolizer", f"--obj={elf}", "--inlines", "--output-style=JSON",
                  text=queries + "\n")
    for line in answers.splitlines():
        flash[part_of(json.loads(line)["Symbol"])] += 2

    ends = {name: start + size for name, (start, size) in sections.items()}
    seen = set()
    for line in run("llvm-nm", "--demangle", "--print-size", "--defined-only", elf).splitlines():
        fields = line.split(maxsplit=3)
        if len(fields) != 4 or len(fields[2]) != 1:
            continue
        address, size, name = int(fields[0], 16), int(fields[1], 16), fields[3]
        if address in seen:
            continue
        owners = STATICS + [(label, symbol) for label, _, symbol in PARTS]
        label = next((label for label, symbol in owners if re.search(symbol, name)), None)
        for section, count in ((".rodata", [flash]), (".data", [flash, ram]), (".bss", [ram])):
            begin = sections.get(section, (0, 0))[0]
            if label and size and begin <= address < ends.get(section, 0):
                seen.add(address)
                for counter in count:
                    counter[label] += size

    total = sum(sections.get(name, (0, 0))[1] for name in
                (".vector_table", ".text", ".rodata", ".data"))
    total_ram = sum(sections.get(name, (0, 0))[1] for name in (".data", ".bss", ".uninit"))
    flash["literals, vectors, padding"] = total - flash.total()
    ram["other"] = total_ram - ram.total()

    print("| part | flash, bytes | static RAM, bytes |\n|---|--:|--:|")
    for label in sorted(flash.keys() | ram.keys(), key=lambda label: -flash[label]):
        if flash[label] or ram[label]:
            print(f"| {label} | {flash[label]:,} | {ram[label]:,} |")
    print(f"| **total** | **{total:,}** | **{total_ram:,}** |")


if __name__ == "__main__":
    main()
