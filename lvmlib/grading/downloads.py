"""What a learning management system hands over, a zip or a folder, is laid out as submitted/STUDENT/LAB/LAB.ipynb.

Nothing in an archive decides a path: a student's name becomes a safe one, and the lab is one of the course's.  Whose a
file is follows from what the system wrote in front of its name, never from what the student did.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from lvmlib.authoring.course import CourseError, write_atomically
from lvmlib.grading.submission import LARGEST, NOTEBOOK, UnreadableError, read_file
from lvmlib.grading.words import printable

MOST_ENTRIES = 100_000
MOST_OF_A_STUDENT = 50
"""Notebooks that are looked at, and entries of an archive within the archive, a hundred times as many."""
MOST_BYTES_OF_A_STUDENT = 3 * LARGEST
EARLIER = ".earlier"
NUMBERS = ".students.json"
"""In submitted/: which of Canvas's users each folder is, as two may have one name."""
WRAPPERS = ("submitted", "submissions")

CANVAS = re.compile(r"([^_]+)_(?:LATE_)?(\d{1,20})_(\d{1,20})_(.+)", re.DOTALL)
MOODLE = re.compile(r"(.+?)_(\d{1,20})_assignsubmission_file(?:_(.*))?", re.DOTALL)
GRADE_ID = re.compile(rb'"grade_id"\s{0,9}:\s{0,9}"([^"\\]{1,200})"')
UNSAFE = re.compile(r'[/\\:*?"<>|+]|\s')


class DownloadError(CourseError):
    """An archive cannot be unpacked; the message says why, and what to do."""


@dataclass(frozen=True)
class Entry:
    """A file of an archive: the parts of its path there, and how to read it."""

    parts: tuple[str, ...]
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Owner:
    """Whose a file is, as the archive names it.

    Attributes:
        number: the system's, where it has one.
        is_lasting: whether the number is the same in every download, as Canvas's is and Moodle's is not.
    """

    name: str
    number: str = ""
    is_lasting: bool = False


@dataclass(frozen=True)
class Handed:
    """A file as a student handed it in; `order` counts Canvas's attachments, `lab` is what nbgrader's layout says."""

    name: str
    order: int
    entry: Entry
    lab: str | None = None


def unpack(archive: Path, submitted: Path, labs: Mapping[str, frozenset[str]], lab: str | None = None) -> list[str]:
    """Lay the notebooks of a download out as submitted/STUDENT/LAB/LAB.ipynb.

    Known are Canvas's and Moodle's names, nbgrader's layout, and a folder for each student.  What cannot be unpacked is
    skipped.  Of what lies there already nothing is lost: a file with other content moves to STUDENT/LAB/.earlier/.

    Args:
        archive: a zip, or a folder with what was in it.
        labs: the grade ids of every lab, by which a notebook is known that is not called after one.
        lab: what a notebook is taken for that neither its name nor its cells tell; students who handed in none get an
            empty folder for it.

    Returns:
        What was skipped or odd, in sentences.

    Raises:
        DownloadError: it is neither a zip nor a folder, is broken as a whole, names no student, or what was in it
            cannot be written.
    """
    notes: list[str] = []
    try:
        with ExitStack() as stack:
            handed = _by_owner(_unwrapped(_entries(archive, notes, stack), archive, labs), labs, notes)
            if not handed:
                raise DownloadError(f"{archive.name} holds nobody's files; give the zip as Canvas or Moodle makes it.")
            folders = _folders(submitted, list(handed), notes)
            for owner, files in handed.items():
                _lay_out(submitted / folders[owner], files, labs, lab, notes)
    except OSError as error:
        raise DownloadError(
            f"{archive.name} could not be unpacked ({error.strerror or error}); mend that, and do it again."
        ) from error
    return notes


def is_canvas(name: str) -> bool:
    """Whether a file is called as Canvas calls what a student handed in."""
    return bool(CANVAS.fullmatch(name))


def safe_name(name: str) -> str:
    """A student's name as the name of a folder: no separators, control characters or leading dots, and not too long."""
    plain = "".join("-" if unicodedata.category(letter).startswith("C") else letter for letter in name)
    safe = re.sub(r"-{2,}|\s{2,}", lambda run: run[0][0], UNSAFE.sub(_replacement, unicodedata.normalize("NFC", plain)))
    while len(safe) > 100 or len(safe.encode()) > 200:
        safe = safe[: min(100, len(safe) - 1)]
    return safe.strip(". -") or "nameless"


def _replacement(found: re.Match[str]) -> str:
    return " " if found[0].isspace() else "-"


def _entries(archive: Path, notes: list[str], stack: ExitStack) -> list[Entry]:
    if archive.is_dir():
        return list(islice(_folder_entries(archive, notes), MOST_ENTRIES))
    if not archive.is_file():
        raise DownloadError(f"There is no {archive.name}; give a zip or a folder of submissions.")
    try:
        return _zip_entries(stack.enter_context(zipfile.ZipFile(archive)), notes, archive.name, MOST_ENTRIES)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DownloadError(f"{archive.name} is not a zip, or a broken one; download it again.") from error


def _folder_entries(archive: Path, notes: list[str]) -> Iterator[Entry]:
    def unreadable(error: OSError) -> None:
        notes.append(f"Skipped {printable(Path(error.filename).name)}: {error.strerror}.")

    for place, folders, files in os.walk(archive, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(files):
            path = Path(place, name)
            if path.is_symlink():
                notes.append(f"Skipped {printable(name)}: it is a link.")
            elif not _is_hidden(name):
                yield Entry(path.relative_to(archive).parts, partial(read_file, path))


def _zip_entries(archive: zipfile.ZipFile, notes: list[str], title: str, most: int) -> list[Entry]:
    infos = archive.infolist()
    if len(infos) > most:
        raise ValueError("too many entries")
    kept = []
    refused: dict[str, list[str]] = defaultdict(list)
    for info in infos:
        parts = tuple(part for part in info.filename.replace("\\", "/").split("/") if part not in ("", "."))
        if not parts or info.is_dir() or any(_is_hidden(part) for part in parts if part != ".."):
            continue
        if reason := _refusal(info, parts):
            refused[reason].append(printable(info.filename))
        else:
            kept.append(Entry(parts, partial(_unzipped, archive, info)))
    for reason, names in refused.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        notes.append(f"Skipped {', '.join(names[:3])}{more} of {printable(title)}: {reason}.")
    return kept


def _refusal(info: zipfile.ZipInfo, parts: Sequence[str]) -> str | None:
    if info.filename.startswith(("/", "\\")) or ".." in parts or parts[0].endswith(":"):
        return "it would lie outside the archive's folder"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a link"
    if info.flag_bits & 1:
        return "it is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "it is compressed in an unusual way"
    return f"it is larger than {LARGEST // 1_000_000} MB" if info.file_size > LARGEST else None


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            content = file.read(LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UnreadableError(f"{printable(info.filename)} is broken in its archive; ask for it again.") from error
    if len(content) > LARGEST:
        raise UnreadableError(f"{printable(info.filename)} is larger than {LARGEST // 1_000_000} MB.")
    return content


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "__pycache__", "Thumbs.db")


def _by_owner(entries: list[Entry], labs: Mapping[str, frozenset[str]], notes: list[str]) -> dict[Owner, list[Handed]]:
    handed: dict[Owner, list[Handed]] = defaultdict(list)
    nobodys = []
    for entry in entries:
        found = _whose(entry, labs)
        if found is None:
            nobodys.append(printable(entry.parts[-1]))
        else:
            handed[found[0]].append(found[1])
    if nobodys:
        more = f" and {len(nobodys) - 3} more" if len(nobodys) > 3 else ""
        notes.append(f"Skipped {', '.join(nobodys[:3])}{more}: the name tells no student.")
    return handed


def _unwrapped(entries: list[Entry], archive: Path, labs: Mapping[str, frozenset[str]]) -> list[Entry]:
    """Without the folder that lies around all others where a download was packed again.

    Raises:
        DownloadError: that folder could as well be a student's, who may call files as a system calls others'.
    """
    around = entries[0].parts[0] if entries else ""
    if any(len(entry.parts) < 2 or entry.parts[0] != around for entry in entries) or MOODLE.fullmatch(around):
        return entries
    inside = [Entry(entry.parts[1:], entry.read) for entry in entries]
    # A program that packs a folder calls the archive after it, and a browser numbers what it downloads again.
    if around.casefold() in (*WRAPPERS, re.sub(r" ?\(\d+\)$", "", archive.stem).casefold(), archive.stem.casefold()):
        return inside
    if all(_is_plain(entry.parts, labs) for entry in inside):
        raise DownloadError(
            f"All of {printable(archive.name)} lies in one folder, {printable(around)}, which may be one student's or "
            "a whole download; if it is a download, call that folder submissions, and do it again."
        )
    return entries


def _is_plain(parts: tuple[str, ...], labs: Mapping[str, frozenset[str]]) -> bool:
    """Whether a path is one that a learning management system or nbgrader makes."""
    is_file = len(parts) == 1 and is_canvas(parts[0])
    return bool(is_file or MOODLE.fullmatch(parts[0]) or (len(parts) > 2 and parts[1] in labs))


def _whose(entry: Entry, labs: Mapping[str, frozenset[str]]) -> tuple[Owner, Handed] | None:
    # Only the first part is the system's; whatever follows is a student's to choose, and may look like another's.
    parts = entry.parts
    first, name = parts[0], parts[-1]
    if moodle := MOODLE.fullmatch(first):
        return Owner(moodle[1], moodle[2]), Handed(name if len(parts) > 1 else moodle[3] or name, 0, entry)
    if len(parts) > 1:
        return Owner(first), Handed(name, 0, entry, parts[1] if len(parts) > 2 and parts[1] in labs else None)
    if canvas := CANVAS.fullmatch(first):
        return Owner(canvas[1], canvas[2], True), Handed(canvas[4], int(canvas[3]), entry)
    return None


def _folders(submitted: Path, owners: list[Owner], notes: list[str]) -> dict[Owner, str]:
    """The name of each student's folder; of students of one name, each has the system's number in it."""
    known = _read_numbers(submitted)
    folders = {owner: known[owner.number] for owner in owners if owner.is_lasting and owner.number in known}
    taken = {name.casefold() for name in known.values()}
    called = Counter(safe_name(owner.name).casefold() for owner in owners)
    for owner in owners:
        name = safe_name(owner.name)
        is_shared = called[name.casefold()] > 1 or (owner.is_lasting and name.casefold() in taken)
        if owner not in folders and is_shared:
            mark = owner.number or hashlib.sha256(owner.name.encode(errors="replace")).hexdigest()[:8]
            folders[owner] = safe_name(f"{name[:75]}-{mark}")
            notes.append(f"Several students are called {printable(name)}; one of them is now {folders[owner]}.")
        folders.setdefault(owner, name)
    lasting = {owner.number: folders[owner] for owner in owners if owner.is_lasting}
    if lasting:
        write_atomically(submitted / NUMBERS, json.dumps(known | lasting, ensure_ascii=False, indent=1, sort_keys=True))
    return folders


def _read_numbers(submitted: Path) -> dict[str, str]:
    try:
        known = json.loads((submitted / NUMBERS).read_text(encoding="utf-8"))
        return {number: safe_name(str(name)) for number, name in known.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise DownloadError(
            f"{NUMBERS} in {submitted.name}/ is broken; delete it, and unpack all archives again."
        ) from error


def _lay_out(
    folder: Path, files: list[Handed], labs: Mapping[str, frozenset[str]], lab: str | None, notes: list[str]
) -> None:
    """Write what one student handed in."""
    student = printable(folder.name)
    found: dict[str, list[tuple[Handed, bytes]]] = defaultdict(list)
    for handed, content in _notebooks(files, student, notes):
        told = handed.lab or _lab_by_name(handed.name, labs) or _lab_by_cells(content, labs) or lab
        if told is None:
            notes.append(
                f"Skipped {printable(handed.name)} of {student}: nothing in it tells the lab; name it by --lab."
            )
        else:
            found[told].append((handed, content))
    if not found:
        there = ", ".join(printable(handed.name) for handed in files[:3])
        notes.append(f"There is no notebook of {student}, only {there}.")
        found |= {lab: []} if lab else {}
    for name, several in found.items():
        if any(path.is_symlink() for path in (folder, folder / name, folder / name / EARLIER)):
            notes.append(f"Skipped {student}: the folder {name} there is a link.")
        else:
            _write(folder / name, _ranked(several, name), notes)


def _notebooks(files: list[Handed], student: str, notes: list[str]) -> Iterator[tuple[Handed, bytes]]:
    left, count = MOST_BYTES_OF_A_STUDENT, 0
    for handed in (one for each in files for one in _opened(each, notes)):
        if not NOTEBOOK.search(handed.name):
            continue
        count += 1
        try:
            content = handed.entry.read() if count <= MOST_OF_A_STUDENT and left > 0 else None
        except UnreadableError as error:
            notes.append(f"Skipped a file of {student}: {error}")
            continue
        if content is None:
            notes.append(f"Skipped the rest of what {student} handed in: it is too much.")
            return
        left -= len(content)
        yield handed, content


def _opened(handed: Handed, notes: list[str]) -> Iterator[Handed]:
    """A file, or what is in it if it is a zip; a zip in that one stays closed."""
    if not handed.name.casefold().endswith(".zip"):
        yield handed
        return
    title = printable(handed.name)
    try:
        content = handed.entry.read()
        if content.count(b"PK\1\2") > 100 * MOST_OF_A_STUDENT:
            raise ValueError("too many entries")
        inside = _zip_entries(zipfile.ZipFile(io.BytesIO(content)), notes, title, 100 * MOST_OF_A_STUDENT)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnreadableError):
        notes.append(f"Skipped {title}: the archive is broken or too large.")
        return
    for entry in inside:
        yield Handed(entry.parts[-1], handed.order, entry, handed.lab)


def _lab_by_name(name: str, labs: Mapping[str, frozenset[str]]) -> str | None:
    named = [lab for lab in labs if lab.casefold() in name.casefold()]
    return max(named, key=len, default=None)


def _lab_by_cells(content: bytes, labs: Mapping[str, frozenset[str]]) -> str | None:
    found = {match[1].decode(errors="replace") for match in islice(GRADE_ID.finditer(content), 10_000)}
    shares = {lab: len(found & known) for lab, known in labs.items()}
    best = max(shares, key=lambda lab: shares[lab], default=None)
    return best if best is not None and shares[best] else None


def _ranked(several: list[tuple[Handed, bytes]], lab: str) -> list[tuple[str, bytes]]:
    """The newest first; of those handed in together, the one that is called after the lab."""
    order = sorted(several, key=lambda one: (-one[0].order, one[0].name != f"{lab}.ipynb", one[0].name))
    return [(printable(handed.name), content) for handed, content in order]


def _write(folder: Path, ranked: list[tuple[str, bytes]], notes: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not ranked:
        return
    (name, content), *others = ranked
    path = folder / f"{folder.name}.ipynb"
    place = f"{printable(folder.parent.name)}/{folder.name}"
    for other, earlier in others:
        if earlier != content:
            _keep(folder, earlier)
            notes.append(f"Took {name} for {place}, and kept {other} in {EARLIER} there.")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        notes.append(f"Skipped {place}: {path.name} there is not a file.")
        return
    before = path.read_bytes() if path.exists() else None
    if before == content:
        return
    if before is not None:
        _keep(folder, before)
        notes.append(f"Replaced {place}/{path.name}; the version before is in {EARLIER} there.")
    write_atomically(path, content)


def _keep(folder: Path, content: bytes) -> None:
    mark = hashlib.sha256(content).hexdigest()[:12]
    kept = folder / EARLIER / f"{folder.name}.{mark}.ipynb"
    if not kept.exists():
        write_atomically(kept, content)
