"""A lab that is run once, and goes on from each exercise in two ways: solved, and in a forked child unsolved.

Run as a program it reads the code cells as one line of JSON, {"id", "source", "stub", "may_fail"} each (a stub only
where there is an exercise), and then requests, a line each: {"missing", "folder", "answer"}. For each it goes on to
that exercise, and forks a child that leaves the stub in, runs to the end in that folder, and writes the outputs of all
cells, {id: outputs}, into the file `answer`. When that is done a line is written. What cells write to the process's own
standard output goes to standard error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
import traceback
from typing import Any, NoReturn

from cells import Output, Shell

Cell = dict[str, Any]

COLOUR = re.compile("\x1b\\[[0-9;]*m")


class Lab:
    """A lab whose exercises are solved, up to some cell."""

    def __init__(self, cells: list[Cell]) -> None:
        self.left = cells
        self.outputs: dict[str, list[Output]] = {}
        self.shell = Shell()

    def run(self, cell: Cell, source: str) -> None:
        """Run a cell.

        Raises:
            RuntimeError: it failed and may not.
        """
        outputs = self.shell.outputs_of(source)
        self.outputs[cell["id"]] = outputs
        errors = [output for output in outputs if output["output_type"] == "error"]
        if errors and not cell["may_fail"]:
            raise RuntimeError(f"cell {cell['id']} failed:\n" + COLOUR.sub("", "\n".join(errors[0]["traceback"])))

    def go_on_to(self, exercise: str) -> None:
        """Run the cells before an exercise."""
        while self.left[0]["id"] != exercise:
            cell = self.left.pop(0)
            self.run(cell, cell["source"])

    def run_without(self, folder: str, answer: str) -> None:
        """Fork a child that runs from here to the end, the next exercise unsolved; wait for it."""
        assert threading.active_count() == 1, f"threads do not survive a fork: {threading.enumerate()}"
        child = os.fork()
        if not child:
            self._end_without(folder, answer)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            print(f"the run without {self.left[0]['id']} ended with status {status}", file=sys.stderr)

    def _end_without(self, folder: str, answer: str) -> NoReturn:
        try:
            shutil.copytree(".", folder, dirs_exist_ok=True)
            os.chdir(folder)
            unsolved, *others = self.left
            self.run(unsolved, unsolved["stub"])
            for cell in others:
                self.run(cell, cell["source"])
            with open(answer, "w", encoding="utf-8") as file:
                json.dump(self.outputs, file)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lab = Lab(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        request = json.loads(line)
        lab.go_on_to(request["missing"])
        lab.run_without(request["folder"], request["answer"])
        print("done", file=replies, flush=True)


if __name__ == "__main__":
    main()
