"""Which labs and exercises the installed lvmlib knows, read without importing torch."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from lvmlib.student.notebooks import Notebook, grade_id_of

PACKAGE = Path(__file__).parents[1]
COPY = re.compile(r"(\s*\(\d+\)|[-_]Copy\d*|[-_ ]copy)+$")


@cache
def labs() -> tuple[str, ...]:
    """The names of all labs, in order: each has its folder of pictures."""
    return tuple(sorted(path.name for path in (PACKAGE / "pictures").glob("*/") if _module(path.name).is_file()))


@cache
def functions(lab: str) -> dict[str, str]:
    """What a lab's checks ask for: the function by the exercise's name; empty for a lab that lvmlib does not know."""
    module = _module(lab)
    if lab not in labs():
        return {}
    tree = ast.parse(module.read_text(encoding="utf-8"))
    told = [call for node in tree.body if isinstance(node, ast.FunctionDef) for call in node.decorator_list]
    return dict(pair for call in told if (pair := _entry(call)))


def lab_of(path: Path, notebook: Notebook) -> str:
    """The lab that a notebook is: the one whose exercises it has, half of them at least, or as the file is called."""
    found = {grade_id_of(cell).removeprefix("test-") for cell in notebook["cells"]}
    found |= {name for cell in notebook["cells"] if (name := checked(cell["source"]))}
    shares = {lab: len(found & functions(lab).keys()) / len(functions(lab)) for lab in labs() if functions(lab)}
    best = max(shares, key=lambda lab: shares[lab], default="")
    return best if shares.get(best, 0) >= 0.5 else lab_named(path)


def lab_named(path: Path) -> str:
    """The lab that a file is called after: `03-vae (1).ipynb` is `03-vae`."""
    known = [lab for lab in labs() if lab in path.stem.casefold()]
    return max(known, key=len, default=COPY.sub("", path.stem) or path.stem)


def checked(source: str) -> str:
    """The exercise that a cell checks, if it does nothing else: `check("elbo", elbo)` gives `elbo`."""
    found = re.fullmatch(r"check\(\s*[\"']([\w-]+)[\"']\s*,[^\n]*\)", source.strip())
    return found[1] if found else ""


def _module(lab: str) -> Path:
    return PACKAGE / "exercises" / f"{lab.partition('-')[2].replace('-', '_')}.py"


def _entry(call: ast.expr) -> tuple[str, str] | None:
    match call:
        case ast.Call(ast.Name("exercise"), [ast.Constant(str(name)), ast.Constant(str(function)), *_]):
            return name, function
    return None
