"""What no honest answer needs: found in the text of a notebook, for a person to look at.

It changes no score; a notebook that wants to hide such things can.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lvmlib.grading.results import Cell
from lvmlib.grading.words import plain

SIGNS = {
    "looks at the code that calls it": (
        r"\b(_getframe|currentframe|f_back|f_locals|tb_frame|gi_frame|settrace|setprofile)\b"
    ),
    "searches memory for objects of others": r"\b(get_objects|get_referrers)\s*\(",
    "reaches below Python": r"\b(ctypes|cffi|process_vm_readv|ptrace)\b",
    "touches the questions or the judges": (
        r"\blvmlib\.(probe|compare|grading|exercises|check\.\w+)\b"
        r"|\bfrom\s+lvmlib\s+import[^\n]{0,200}?\b(probe|compare|exercises|grading)\b"
    ),
    "starts other programs": (
        r"\bsubprocess\.\w+|\b(import|from)\s+subprocess\b"
        r"|\bos\.(system|popen|exec[lv]\w*|posix_spawn\w*|spawn\w*|fork\w*|setsid|kill\w*|_exit)\b"
    ),
    "opens a network connection": r"\b(socket\.socket|create_connection|urlopen|requests\.(get|post))\b",
    # Paths only: a word such as "solutions/ideas" in a comment is nobody's attack.
    "looks for the course": r"[\"'][\w./~-]{0,200}(\bjudges\.py|\bgradebook\.db|/proc/|\bsolutions/)",
}
_SIGNS = {what: re.compile(pattern) for what, pattern in SIGNS.items()}


def find_suspicions(cells: Sequence[Cell], released: Sequence[Cell]) -> tuple[str, ...]:
    """One sentence for each sign, with the number of the cell; cells that are as they were released have none."""
    known = {cell["source"] for cell in released}
    found = []
    for number, cell in enumerate(cells, start=1):
        if cell["cell_type"] != "code" or cell["source"] in known:
            continue
        for what, pattern in _SIGNS.items():
            sign = pattern.search(cell["source"])
            if sign:
                found.append(f"Cell {number} {what}: {plain(sign.group(), 80)}.")
    return tuple(found)
