"""Whether a verdict still stands: one hash an exercise, over everything that decides it.

What decides is found in the source, by the names that definitions use, so that a change of one judge changes one
fingerprint.  Comments, layout and docstrings decide nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path

from lvmlib import exercises
from lvmlib.grading.assignment import Assignment, Question

PACKAGE = Path(exercises.__file__).parents[1]
JUDGES = "judges"
WHOLE = "*"
ALWAYS = [("lvmlib.compare", WHOLE), ("lvmlib.probe", "interrogate")]

Place = tuple[str, str]
"""A module, and a name in it; `*` is all of it."""
Reference = tuple[str, str | None]
"""A name that is used, and the attribute that is taken of it at once, if one is."""


@dataclass(frozen=True)
class Module:
    """A module's top-level statements by the names they bind or change, and what its imported names stand for."""

    text: str
    statements: tuple[ast.stmt, ...]
    named: dict[str, list[ast.stmt]]
    imported: dict[str, Place]


class Sources:
    """Where source is looked for, each module read once: the judges of one lab, and a copy of lvmlib."""

    def __init__(self, judges: str, package: Path):
        self.package = package
        self.find = cache(self._find)
        self.look_up = cache(partial(_look_up, self))
        self._judges = judges

    def _find(self, module: str) -> Module | None:
        """A module of the judges' or of lvmlib; None for anybody else's."""
        if module == JUDGES:
            return _parse(self._judges)
        root, *names = module.split(".")
        folder = self.package.joinpath(*names)
        found = [path for path in (folder.with_suffix(".py"), folder / "__init__.py") if path.is_file()]
        return _parse(found[0].read_text(encoding="utf-8")) if root == "lvmlib" and found else None


def fingerprints(assignment: Assignment, package: Path = PACKAGE) -> dict[str, str]:
    """By exercise, SHA-256 of what decides it: its probe and law, its judge, and all that these reach in lvmlib.

    Args:
        package: the lvmlib whose source is read.
    """
    sources = Sources(assignment.judges, package)
    return {question.exercise: _fingerprint(question, sources) for question in assignment.questions}


def _fingerprint(question: Question, sources: Sources) -> str:
    told = [question.expression, repr(float(question.points)), version("torch")]
    for (module, name), texts in sorted(_reach(_starts(question.exercise), sources).items()):
        told += [f"{module}.{name}", *texts]
    return hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).hexdigest()


def _starts(exercise: str) -> list[Place]:
    try:
        probe = exercises.find(exercise).probe
    except KeyError:
        return [*ALWAYS, (JUDGES, _oracle_name(exercise))]
    return [*ALWAYS, (JUDGES, _oracle_name(exercise)), (probe.__module__, probe.__name__)]


def _oracle_name(exercise: str) -> str:
    """Under which name an exercise's `oracle(…)`, which binds none, is kept."""
    return f"oracle({exercise})"


def _reach(starts: Iterable[Place], sources: Sources) -> dict[Place, tuple[str, ...]]:
    """The text of every definition that is reached from some, by its place."""
    found: dict[Place, tuple[str, ...]] = {}
    waiting = list(starts)
    while waiting:
        place = waiting.pop()
        if place not in found:
            found[place], onward = sources.look_up(place)
            waiting += onward
    return found


def _look_up(sources: Sources, place: Place) -> tuple[tuple[str, ...], list[Place]]:
    name, module = place[1], sources.find(place[0])
    if module is None:
        return (), []
    if name in module.imported:
        return (".".join(module.imported[name]),), [_at_home(module.imported[name], sources)]
    if name != WHOLE and name not in module.named:
        return (), [(place[0], WHOLE)]
    if not module.statements:
        return (module.text,), []
    texts, references = _digest(module, name)
    return texts, [onward for reference in references for onward in _follow(place[0], reference, sources)]


def _at_home(imported: Place, sources: Sources) -> Place:
    """The place that an import means: a name of a module, or a module of a package."""
    module, name = imported
    found = sources.find(module)
    if found and name not in found.named and name not in found.imported and sources.find(f"{module}.{name}"):
        return f"{module}.{name}", WHOLE
    return imported


def _follow(module: str, reference: Reference, sources: Sources) -> Iterator[Place]:
    """Where a name that a definition uses leads; nowhere if it is a builtin."""
    name, attribute = reference
    found = sources.find(module)
    if found and name in found.imported:
        home = _at_home(found.imported[name], sources)
        yield (module, name) if home[1] != WHOLE or not attribute else (home[0], attribute)
    elif found and name in found.named:
        yield module, name
    elif sources.find(name):  # an import inside of a function
        yield _at_home((name, attribute or WHOLE), sources)


@lru_cache(maxsize=256)
def _parse(text: str) -> Module:
    """A module by its source; one that is no Python is its text and nothing more."""
    try:
        statements = [_Bare().visit(statement) for statement in ast.parse(text).body]
    except (SyntaxError, ValueError, RecursionError):
        return Module(text, (), {}, {})
    module = Module(text, tuple(statements), {}, {})
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.imported.update(_imports(statement))
        for name in {*_bound([statement]), *_changed(statement)} - module.imported.keys():
            module.named.setdefault(name, []).append(statement)
    for node in (node for statement in statements if isinstance(statement, ast.If) for node in ast.walk(statement)):
        if isinstance(node, ast.Import | ast.ImportFrom):  # under `if TYPE_CHECKING:`
            module.imported.update(_imports(node))
    return module


class _Bare(ast.NodeTransformer):
    """Drops docstrings."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
        return node


def _imports(statement: ast.Import | ast.ImportFrom) -> dict[str, Place]:
    if isinstance(statement, ast.Import):
        return {alias.asname or alias.name.partition(".")[0]: (alias.name, WHOLE) for alias in statement.names}
    return {alias.asname or alias.name: (statement.module or "", alias.name) for alias in statement.names}


def _changed(statement: ast.stmt) -> Iterator[str]:
    """What a statement that binds no name is kept under: whose part it sets, whose method it calls, whose oracle."""
    for target in getattr(statement, "targets", [getattr(statement, "target", None)]):
        yield from (name for name, _ in _free(target) if isinstance(target, ast.Subscript | ast.Attribute))
    match statement:
        case ast.Expr(ast.Call(ast.Name("oracle"), [ast.Constant(str(exercise)), *_])):
            yield _oracle_name(exercise)
        case ast.Expr(ast.Call(ast.Attribute(ast.Name(name)))):
            yield name


def _digest(module: Module, name: str) -> tuple[tuple[str, ...], set[Reference]]:
    statements = list(module.statements) if name == WHOLE else module.named[name]
    return tuple(ast.dump(statement) for statement in statements), {
        reference for statement in statements for reference in _free(statement)
    }


def _free(node: ast.AST | None) -> set[Reference]:
    """The names that a piece of code takes from around it."""
    match node:
        case None:
            return set()
        case ast.Name(name, ast.Load() | ast.Del()):
            return {(name, None)}
        case ast.Attribute(ast.Name(name), attribute):
            return {(name, attribute)}
        case ast.ImportFrom(str(module), names):
            return {(module, alias.name) for alias in names}
        case ast.Import(names):
            return {(alias.name, None) for alias in names}
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            return _free_of_function(node)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return _without(_of_all(ast.iter_child_nodes(node)), _bound(node.generators))
    return _of_all(ast.iter_child_nodes(node))


def _free_of_function(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[Reference]:
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    own = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)} | _bound(body)
    around = [child for child in ast.iter_child_nodes(node) if child not in body]
    return _of_all(around) | _without(_of_all(body), own)


def _of_all(nodes: Iterable[ast.AST]) -> set[Reference]:
    return {reference for node in nodes for reference in _free(node)}


def _without(references: set[Reference], names: set[str]) -> set[Reference]:
    return {reference for reference in references if reference[0] not in names}


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in their own scope."""
    names: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        names |= _bound_at(node)
        waiting += ast.iter_child_nodes(node)
    return names


def _bound_at(node: ast.AST) -> set[str]:
    match node:
        case ast.Name(name, ast.Store()):
            return {name}
        case ast.Import() | ast.ImportFrom():
            return set(_imports(node))
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return {name}
        case ast.MatchMapping(rest=str(name)):
            return {name}
    return set()
