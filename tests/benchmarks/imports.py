"""What `import lvmlib` adds to `import torch`.

    python -m tests.benchmarks.imports [--repeats 9]

Each is timed in a Python of its own, in turns, so that whatever else the machine does hits both; the first turn, which
fills the disk's cache, is not counted. Medians in seconds, with the least and the most.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from tests.benchmarks.training_loop import spread

STATEMENTS = ("import torch", "import torch, lvmlib")
TIMED = "from time import perf_counter as now; began = now(); {}; print(now() - began)"


def seconds(statement: str) -> float:
    """Seconds on the wall that a statement takes in a new Python, without starting it."""
    done = subprocess.run([sys.executable, "-c", TIMED.format(statement)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="turns that count")
    options = parser.parse_args(arguments)
    turns = [[seconds(statement) for statement in STATEMENTS] for _ in range(1 + options.repeats)][1:]
    for statement, taken in zip(STATEMENTS, zip(*turns, strict=True), strict=True):
        print(f"{statement:24}{spread(taken, 3):>26}")
    print(f"{'lvmlib adds':24}{spread([both - torch for torch, both in turns], 3):>26}")


if __name__ == "__main__":
    main()
