#!/usr/bin/env python3
"""The size of the client, by part, as a Markdown table.

    size.py [--features] [--check | --record]
    size.py ELF

Size means: flash and static RAM of `bare`, the client without network stack and drivers (its arena
and its flash are outside of both), at opt-level z, with panics that say nothing, and with the
content formats and kernels that `bare` lists without features. --features tells what each cargo
feature adds, and what the module crate adds at the opt-level that firmware has it at. --check fails
if flash or RAM is more than 1 % above what size.json has, or if a feature adds more than it may,
--record writes size.json. With ELF the table is of another program.

With link-time optimization functions of many crates end up in one symbol, so code is counted by
the line table: each halfword belongs to the innermost inlined function that is not from core.
Data belongs to the crate in its symbol's name; literals have none. Needs LLVM's nm, size and
symbolizer on the PATH.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
from collections import Counter

HERE = pathlib.Path(__file__).resolve().parent
RECORD = HERE / "size.json"
# Flash that a feature may add, bytes.
LIMITS = {"dtls": 19 * 1024}

# First match wins: pattern of the source path, pattern of the symbol.
PARTS = [
    ("LwM2M client", r"/device-client/client/", r"tinsmith_client"),
    ("DTLS, AES, HMAC", r"/device-client/dtls/|/(aes|ccm|ctr|cipher|hmac|inout|hybrid-array|zeroize)-",
     r"tinsmith_dtls|aes::|ccm::"),
    ("CoAP", r"/device-client/coap/", r"tinsmith_coap"),
    ("objects, content formats", r"/lwm2m-objects/|/minicbor-|/lwm2m-objects-", r"lwm2m_objects|minicbor"),
    ("package, SHA-256", r"/device-client/package/|/(sha2|digest|block-buffer|uuid|sha1_smol)-",
     r"tinsmith_package|sha2|uuid|sha1_smol"),
    ("module loader and kernels", r"/device-client/module/", r"tinsmith_module"),
    ("network stack", r"/(smoltcp|embassy-net|managed|heapless)[-/]", r"smoltcp|embassy_net"),
    ("executor, time", r"/(embassy-|futures-|critical-section|static_cell)",
     r"embassy_(executor|time|sync|futures)|static_cell"),
    ("board, drivers", r"/boards/|/cortex-m|^src/|qemu-mps2", r"board::|node::|firmware::|selftest::"
     r"|bare::|cortex_m|^__|^ETHERNET$|^TIMER\d$|POOL"),
]
# The same for statics of the firmware that others own.
STATICS = [
    ("arena", r"memory::ARENA"),
    ("LwM2M client", r"(node|bare)::(memory|run|client|.*DATAGRAM_MEMORY)"),
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


def measure(elf: pathlib.Path) -> tuple[Counter[str], Counter[str]]:
    """Flash and static RAM by part."""
    sections = {}
    for row in map(str.split, run("llvm-size", "-A", str(elf)).splitlines()):
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
    for line in run("llvm-nm", "--demangle", "--print-size", "--defined-only",
                    str(elf)).splitlines():
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

    total, total_ram = totals(elf)
    flash["literals, vectors, padding"] = total - flash.total()
    ram["other"] = total_ram - ram.total()
    return flash, ram


def totals(elf: pathlib.Path) -> tuple[int, int]:
    """Flash and static RAM."""
    sizes = Counter()
    for row in map(str.split, run("llvm-size", "-A", str(elf)).splitlines()):
        if len(row) == 3 and row[1].isdigit():
            sizes[row[0]] = int(row[1])
    flash = sum(sizes[name] for name in (".vector_table", ".text", ".rodata", ".data"))
    return flash, sum(sizes[name] for name in (".data", ".bss", ".uninit"))


def build(feature: str | None = None, module_level: str | int = "z") -> pathlib.Path:
    """Builds `bare` in a target folder of its own and gives the program."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / "size"
    level = f"profile.release.package.tinsmith-module.opt-level={json.dumps(module_level)}"
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--bin", "bare",
               "--no-default-features", "--features", ",".join(["quiet", *([feature] if feature else [])]),
               "--target-dir", str(target), "--config", level,
               "--config", 'profile.release.opt-level="z"']
    subprocess.run(command, check=True, cwd=HERE)
    return target / "thumbv7em-none-eabihf/release/bare"


def features() -> list[str]:
    """Those that `bare` names, or that are the client's."""
    listed = tomllib.loads((HERE / "Cargo.toml").read_text())["features"]
    source = (HERE / "src/bin/bare.rs").read_text()
    of_client = lambda on: any(name.startswith("tinsmith-client/") for name in on)
    return sorted(name for name, on in listed.items()
                  if f'feature = "{name}"' in source or of_client(on))


def print_table(flash: Counter[str], ram: Counter[str]) -> None:
    print("| part | flash, bytes | static RAM, bytes |\n|---|--:|--:|")
    for label in sorted(flash.keys() | ram.keys(), key=lambda label: -flash[label]):
        if flash[label] or ram[label]:
            print(f"| {label} | {flash[label]:,} | {ram[label]:,} |")
    print(f"| **total** | **{flash.total():,}** | **{ram.total():,}** |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("elf", nargs="?", type=pathlib.Path)
    parser.add_argument("--features", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    flash, ram = measure(args.elf or build())
    print_table(flash, ram)
    if args.elf:
        return 0
    base = (flash.total(), ram.total())
    found = {"flash": base[0], "ram": base[1], "parts": dict(sorted(flash.items()))}
    if args.features:
        print("\n| cargo feature | flash, bytes | static RAM, bytes |\n|---|--:|--:|")
        found["features"] = {}
        variants = [(name, {"feature": name}) for name in features()]
        variants.append(("module crate at opt-level 2", {"module_level": 2}))
        for name, options in variants:
            more = [size - of for size, of in zip(totals(build(**options)), base)]
            found["features"][name] = dict(zip(("flash", "ram"), more))
            print(f"| {name} | {more[0]:+,} | {more[1]:+,} |")
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if args.record:
        found.setdefault("features", known.get("features", {}))
        RECORD.write_text(json.dumps(found, indent=2) + "\n")
    if args.check:
        for what in ("flash", "ram"):
            if found[what] > known[what] * 1.01:
                print(f"{what}: {found[what]:,} bytes, {known[what]:,} are recorded",
                      file=sys.stderr)
                return 1
        for name, limit in LIMITS.items():
            more = totals(build(name))[0] - base[0]
            if more > limit:
                print(f"{name}: adds {more:,} bytes, may add {limit:,}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
