from __future__ import annotations

import argparse
import sys
from importlib import import_module

from benchmarks.peers import PEERS
from benchmarks.report import Options, publish

NAMES = (
    *("dense", "logit", "factors", "wide-factors", "gamma-tweedie", "mid", "small", "growth", "floor"),
    *("inference", "models", "stream", "ranks", "by", "responses", "gpu"),
)


def parse(arguments: list[str]) -> tuple[tuple[str, ...], Options]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="torchglm against its peers")
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--quick", action="store_true", help="a twentieth of the rows, two repeats")
    parser.add_argument("--repeats", type=int, default=5, help="timed fits of each contestant (default 5)")
    parser.add_argument("--peers", help=f"only these, with commas between: {', '.join(PEERS)}; torchglm always runs")
    parser.add_argument("--save", action="store_true", help="write the tables to benchmarks/results/NAME.md")
    found = parser.parse_args(arguments)
    peers = tuple(found.peers.split(",")) if found.peers is not None else None
    unknown = set(peers or ()) - set(PEERS) - {""}
    if unknown:
        parser.error(f"--peers: unknown {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    names = NAMES if found.name == "all" else (found.name,)
    return names, Options(found.quick, found.repeats, None if peers is None else ("torchglm", *peers), found.save)


def main(arguments: list[str]) -> int:
    names, options = parse(arguments)
    for name in names:
        question = import_module("benchmarks." + name.replace("-", "_"))
        sections = question.run(options)
        rest = " ".join(argument for argument in arguments if argument not in ("all", *NAMES))
        publish(name, f"python -m benchmarks {name} {rest}".strip(), sections, save=options.save)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
