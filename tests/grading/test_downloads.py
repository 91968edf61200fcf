"""Downloads of Canvas, Moodle and nbgrader's layout become submitted/STUDENT/LAB/LAB.ipynb, whatever is in them."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile
from pathlib import Path

import pytest

from lvmlib.grading import downloads
from lvmlib.grading.downloads import DownloadError, safe_name, unpack
from lvmlib.grading.submission import collect, load

LABS = {"03-vae": frozenset({"elbo", "kl-divergence"}), "04-nvil": frozenset({"nvil"}), "01-gan": frozenset()}
VAE = (
    b'{"cells": [{"metadata": {"nbgrader": {"grade_id": "elbo"}}}, {"metadata": {"nbgrader": {"grade_id" : "nvil"}}}]}'
)


@pytest.fixture
def submitted(tmp_path: Path) -> Path:
    return tmp_path / "submitted"


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture(params=["zip", "folder"])
def pack(request: pytest.FixtureRequest, tmp_path: Path):
    """How to make a download of files by name: as a zip, and as the folder that it is extracted to."""

    def make(files: dict[str, bytes]) -> Path:
        path = tmp_path / f"download-{len(list(tmp_path.iterdir()))}"
        if request.param == "zip":
            path.write_bytes(zipped(files))
            return path
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return path

    return make


@pytest.fixture
def archive(tmp_path: Path):
    def make(files: dict[str, bytes]) -> Path:
        path = tmp_path / "download.zip"
        path.write_bytes(zipped(files))
        return path

    return make


def laid_out(submitted: Path) -> dict[str, bytes]:
    files = [path for path in submitted.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(submitted).as_posix(): path.read_bytes() for path in files}


def kept(content: bytes) -> str:
    return f"03-vae.{hashlib.sha256(content).hexdigest()[:12]}.ipynb"


def test_canvas(pack, submitted: Path) -> None:
    download = pack(
        {
            "lovelaceada_12345_67890_03-vae-1.ipynb": b"second",
            "lovelaceada_12345_67800_03-vae.ipynb": b"first",
            "turingalan_LATE_222_333_my_work.ipynb": VAE,
            "hoppergrace_444_555_work.zip": zipped({"work/03-vae.ipynb": b"zipped", "work/data.csv": b"1"}),
            "李小龍_666_777_04-nvil-Copy1.ipynb": b"copied",
        }
    )
    notes = unpack(download, submitted, LABS)
    assert laid_out(submitted) == {
        "lovelaceada/03-vae/03-vae.ipynb": b"second",
        f"lovelaceada/03-vae/.earlier/{kept(b'first')}": b"first",
        "turingalan/03-vae/03-vae.ipynb": VAE,
        "hoppergrace/03-vae/03-vae.ipynb": b"zipped",
        "李小龍/04-nvil/04-nvil.ipynb": b"copied",
    }
    assert notes == ["Took 03-vae-1.ipynb for lovelaceada/03-vae, and kept 03-vae.ipynb in .earlier there."]
    assert [(found.student, load(found).content) for found in collect(submitted, "04-nvil")] == [("李小龍", b"copied")]


def test_an_entry_without_a_name_is_nothing(archive, submitted: Path) -> None:
    nameless = zipped({"03-vae.ipynb": b"work", "?": b"x"}).replace(b"?", b"\0")
    unpack(archive({"ada_1_2_work.zip": nameless, "bob_3_4_03-vae.ipynb": b"bob"}), submitted, LABS)
    assert laid_out(submitted) == {"ada/03-vae/03-vae.ipynb": b"work", "bob/03-vae/03-vae.ipynb": b"bob"}


def test_moodle(pack, submitted: Path) -> None:
    download = pack(
        {
            "Ada Lovelace_123456_assignsubmission_file_/03-vae.ipynb": b"ada",
            "Ada Lovelace_123456_assignsubmission_file_/03-vae-old.ipynb": b"old",
            "Alan Turing_7_assignsubmission_file_03-vae.ipynb": b"alan",
            "Grace Hopper_8_assignsubmission_file/deep/er/vae.ipynb": VAE,
            "Emmy_Noether_9_assignsubmission_file_/all.zip": zipped({"a/b/03-vae.ipynb": b"emmy"}),
        }
    )
    unpack(download, submitted, LABS)
    assert laid_out(submitted) == {
        "Ada Lovelace/03-vae/03-vae.ipynb": b"ada",
        f"Ada Lovelace/03-vae/.earlier/{kept(b'old')}": b"old",
        "Alan Turing/03-vae/03-vae.ipynb": b"alan",
        "Grace Hopper/03-vae/03-vae.ipynb": VAE,
        "Emmy_Noether/03-vae/03-vae.ipynb": b"emmy",
    }


@pytest.mark.parametrize("wrapper", ["", "submitted/"])
def test_nbgraders_layout_and_a_folder_for_each_student(pack, submitted: Path, wrapper: str) -> None:
    download = pack(
        {
            f"{wrapper}ada/03-vae/odd name.ipynb": b"ada",
            f"{wrapper}bob/03-vae.ipynb": b"bob",
            f"{wrapper}bob/work/04-nvil.ipynb": b"bob 4",
            f"{wrapper}bob/.ipynb_checkpoints/03-vae-checkpoint.ipynb": b"no",
            f"{wrapper}__MACOSX/bob/._03-vae.ipynb": b"no",
        }
    )
    assert unpack(download, submitted, LABS) == []
    assert laid_out(submitted) == {
        "ada/03-vae/03-vae.ipynb": b"ada",
        "bob/03-vae/03-vae.ipynb": b"bob",
        "bob/04-nvil/04-nvil.ipynb": b"bob 4",
    }


def test_the_lab_is_told_by_name_then_by_cells_then_by_option(archive, submitted: Path) -> None:
    files = {"ada/04-nvil.ipynb": VAE, "bob/x.ipynb": b'{"grade_id": "kl-divergence"}', "eve/y.ipynb": b"{}"}
    assert unpack(archive(files), submitted, LABS, "01-gan") == []
    assert set(laid_out(submitted)) == {
        "ada/04-nvil/04-nvil.ipynb", "bob/03-vae/03-vae.ipynb", "eve/01-gan/01-gan.ipynb",
    }  # fmt: skip
    notes = unpack(archive(files), submitted, LABS)
    assert notes[0] == "Skipped y.ipynb of eve: nothing in it tells the lab; name it by --lab."


def test_whoever_handed_in_no_notebook_is_there_without_one(archive, submitted: Path) -> None:
    notes = unpack(archive({"ada/report\x1b.pdf": b"x", "bob/03-vae.ipynb": b"y"}), submitted, LABS, "03-vae")
    assert notes == ["There is no notebook of ada, only report�.pdf."]
    assert [found.student for found in collect(submitted, "03-vae")] == ["ada", "bob"]


NAMES = [
    ("ada_1_2_03-vae.ipynb", "bob_3_4_03-vae.ipynb"),
    ("ada_1_assignsubmission_file_/03-vae.ipynb", "bob_2_assignsubmission_file_03-vae.ipynb"),
    ("ada/03-vae/03-vae.ipynb", "bob/03-vae/deep/er.ipynb"),
]


@pytest.mark.parametrize(
    ("title", "wrapper"), [("x", "Submissions"), ("03 VAE", "03 VAE"), ("lab 3 (2)", "Lab 3"), ("3 (b)", "3 (b)")]
)
@pytest.mark.parametrize("names", NAMES)
def test_a_folder_around_all_is_not_taken_for_a_student(
    tmp_path: Path, submitted: Path, title: str, wrapper: str, names: tuple[str, str]
) -> None:
    download = tmp_path / f"{title}.zip"
    download.write_bytes(zipped({f"{wrapper}/{name}": name.encode() for name in names}))
    assert unpack(download, submitted, LABS) == []
    written = {"ada/03-vae/03-vae.ipynb": names[0].encode(), "bob/03-vae/03-vae.ipynb": names[1].encode()}
    assert laid_out(submitted) == written


@pytest.mark.parametrize("names", NAMES)
def test_a_students_folder_is_not_taken_for_a_download_of_others(pack, submitted: Path, names: tuple[str, str]) -> None:
    """Whatever a student calls files, they are nobody else's."""
    with pytest.raises(DownloadError, match="lies in one folder, mallory, .* call that folder submissions"):
        unpack(pack({f"mallory/{name}": b"theirs" for name in names}), submitted, LABS)
    assert not submitted.exists()


def test_unpacking_twice_changes_nothing(archive, submitted: Path) -> None:
    download = archive({"ada_1_2_03-vae.ipynb": b"first", "ada_1_3_03-vae-1.ipynb": b"second"})
    unpack(download, submitted, LABS)
    before = laid_out(submitted)
    unpack(download, submitted, LABS)
    assert laid_out(submitted) == before


def test_a_version_that_is_there_is_kept_beside(archive, submitted: Path) -> None:
    for content in (b"one", b"two", b"three"):
        notes = unpack(archive({"ada/03-vae.ipynb": content}), submitted, LABS)
    assert notes == ["Replaced ada/03-vae/03-vae.ipynb; the version before is in .earlier there."]
    files = laid_out(submitted)
    assert files.pop("ada/03-vae/03-vae.ipynb") == b"three"
    assert sorted(files.values()) == [b"one", b"two"]
    (found,) = collect(submitted)
    assert (load(found).content, load(found).notes) == (b"three", ())


def test_students_of_one_name_are_kept_apart(archive, submitted: Path) -> None:
    def smith(number: int, lab: str) -> dict[str, bytes]:
        return {f"smithjohn_{number}_{number}9_{lab}.ipynb": b"%d" % number}

    unpack(archive(smith(11, "03-vae")), submitted, LABS)
    notes = unpack(archive(smith(11, "04-nvil") | smith(22, "04-nvil")), submitted, LABS)
    assert notes == ["Several students are called smithjohn; one of them is now smithjohn-22."]
    assert unpack(archive(smith(22, "03-vae")), submitted, LABS) == []
    assert laid_out(submitted) == {
        "smithjohn/03-vae/03-vae.ipynb": b"11",
        "smithjohn/04-nvil/04-nvil.ipynb": b"11",
        "smithjohn-22/04-nvil/04-nvil.ipynb": b"22",
        "smithjohn-22/03-vae/03-vae.ipynb": b"22",
    }
    moodle = "{}_{}_assignsubmission_file_/01-gan.ipynb"
    unpack(archive({moodle.format("Ada", 1): b"1", moodle.format("ADA", 2): b"2"}), submitted, LABS)
    assert {name for name in laid_out(submitted) if "01-gan" in name} == {
        "Ada-1/01-gan/01-gan.ipynb", "ADA-2/01-gan/01-gan.ipynb",
    }  # fmt: skip


def test_nobody_hands_in_for_another(archive, submitted: Path) -> None:
    evil = {
        "eve/03-vae/ada_1_2_03-vae.ipynb": b"evil",
        "eve/submitted/ada/03-vae/03-vae.ipynb": b"evil",
        "Eve_5_assignsubmission_file_/Ada_6_assignsubmission_file_/03-vae.ipynb": b"evil",
        "Eve_5_assignsubmission_file_Ada_6_assignsubmission_file_04-nvil.ipynb": b"evil",
        "eve_7_8_ada_1_2_03-vae.ipynb": b"evil",
        "eve/work.zip": zipped({"ada_1_2_03-vae.ipynb": b"evil", "../ada/03-vae/03-vae.ipynb": b"evil"}),
    }
    unpack(archive(evil), submitted, LABS)
    assert {name.partition("/")[0].casefold().partition("-")[0] for name in laid_out(submitted)} == {"eve"}


def test_nothing_is_written_outside(archive, submitted: Path, tmp_path: Path) -> None:
    names = [
        "../ada/03-vae.ipynb",
        "/etc/03-vae.ipynb",
        "a/../../03-vae.ipynb",
        "..\\x\\03-vae.ipynb",
        "C:\\03-vae.ipynb",
    ]
    download = archive(dict.fromkeys(names, b"evil") | {"good/03-vae.ipynb": b"good"})
    notes = unpack(download, submitted, LABS)
    assert len(notes) == 1 and notes[0].endswith(
        "and 2 more of download.zip: it would lie outside the archive's folder."
    )
    assert laid_out(tmp_path) == {"download.zip": download.read_bytes(), "submitted/good/03-vae/03-vae.ipynb": b"good"}


def test_links_are_not_followed(submitted: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"the solution")
    link = zipfile.ZipInfo("ada/03-vae.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        archive.writestr(link, str(secret))
        archive.writestr("bob/03-vae.ipynb", "bob")
    assert unpack(tmp_path / "download.zip", submitted, LABS) == [
        "Skipped ada/03-vae.ipynb of download.zip: it is a link."
    ]
    folder = tmp_path / "folder"
    (folder / "ada").mkdir(parents=True)
    (folder / "ada" / "03-vae.ipynb").symlink_to(secret)
    (folder / "eve").symlink_to(tmp_path)
    (folder / "bob").mkdir()
    (folder / "bob" / "03-vae.ipynb").write_bytes(b"bob")
    assert "Skipped 03-vae.ipynb: it is a link." in unpack(folder, submitted, LABS)
    assert laid_out(submitted) == {"bob/03-vae/03-vae.ipynb": b"bob"}


def test_links_in_submitted_are_not_written_through(archive, submitted: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    submitted.mkdir()
    (submitted / "ada").symlink_to(elsewhere)
    (submitted / "bob" / "03-vae").mkdir(parents=True)
    (submitted / "bob" / "03-vae" / "03-vae.ipynb").symlink_to(elsewhere / "file")
    notes = unpack(archive({"ada/03-vae.ipynb": b"x", "bob/03-vae.ipynb": b"x"}), submitted, LABS)
    assert list(elsewhere.iterdir()) == []
    assert notes == [
        "Skipped ada: the folder 03-vae there is a link.",
        "Skipped bob/03-vae: 03-vae.ipynb there is not a file.",
    ]


def corrupted(content: bytes) -> bytes:
    """The same archive with one byte of its first file's content changed."""
    place = content.index(b"ipynb") + len(b"ipynb") + 3
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def test_what_is_broken_encrypted_or_a_bomb_stops_nobody_else(
    archive, submitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LARGEST", 100_000)
    monkeypatch.setattr(downloads, "MOST_OF_A_STUDENT", 3)
    encrypted = bytearray(zipped({"03-vae.ipynb": b"x"}))
    encrypted[encrypted.index(b"PK\1\2") + 8] |= 1
    understated = bytearray(zipped({"03-vae.ipynb": b"0" * 1_000_000}))
    understated[understated.index(b"PK\1\2") + 24 : understated.index(b"PK\1\2") + 28] = b"\1\0\0\0"
    files = {
        "bomb/03-vae.ipynb": b"0" * 1_000_000,
        "zipped bomb/a.zip": zipped({"03-vae.ipynb": b"0" * 1_000_000}),
        "understated/a.zip": bytes(understated),
        "nested/a.zip": zipped({"b.zip": zipped({"03-vae.ipynb": b"x"})}),
        "encrypted/a.zip": bytes(encrypted),
        "torn/a.zip": zipped({"03-vae.ipynb": b"x" * 1000})[:-10],
        "corrupt/a.zip": corrupted(zipped({"03-vae.ipynb": bytes(range(256)) * 4})),
        "many/a.zip": zipped({f"{number}/03-vae.ipynb": b"%d" % number for number in range(5)}),
        "swarm/a.zip": zipped({f"{number}": b"" for number in range(301)}),
        "good/03-vae.ipynb": b"good",
    }
    notes = " ".join(unpack(archive(files), submitted, LABS))
    written = laid_out(submitted)
    assert written.pop("good/03-vae/03-vae.ipynb") == b"good"
    assert {name.partition("/")[0] for name in written} == {"many"}
    assert all(len(content) <= 100_000 for content in written.values())
    for sentence in (
        "Skipped bomb/03-vae.ipynb of download.zip: it is larger than 0 MB.",
        "Skipped 03-vae.ipynb of a.zip: it is encrypted.",
        "Skipped a.zip: the archive is broken or too large.",
        "Skipped a file of corrupt: 03-vae.ipynb is broken in its archive",
        "Skipped the rest of what many handed in: it is too much.",
        "There is no notebook of nested, only a.zip.",
    ):
        assert sentence in notes


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"Rar!"])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, submitted: Path, content: bytes) -> None:
    path = tmp_path / "download.zip"
    path.write_bytes(content)
    with pytest.raises(DownloadError, match=r"download.zip is not a zip, or a broken one; download it again"):
        unpack(path, submitted, LABS)
    with pytest.raises(DownloadError, match=r"There is no nothing.zip"):
        unpack(tmp_path / "nothing.zip", submitted, LABS)


def test_an_archive_of_nobodys_is_said_to_be_so(archive, submitted: Path) -> None:
    with pytest.raises(DownloadError, match="holds nobody's files"):
        unpack(archive({"03-vae.ipynb": b"x"}), submitted, LABS)
    notes = unpack(archive({"03-vae.ipynb": b"x", "ada/03-vae.ipynb": b"y"}), submitted, LABS)
    assert notes == ["Skipped 03-vae.ipynb: the name tells no student."]


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(
    archive, submitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(archive({"ada/03-vae.ipynb": b"one"}), submitted, LABS)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "write_atomically", full)
    with pytest.raises(DownloadError, match=r"could not be unpacked \(No space left on device\)"):
        unpack(archive({"ada/03-vae.ipynb": b"two"}), submitted, LABS)
    assert laid_out(submitted) == {"ada/03-vae/03-vae.ipynb": b"one"}


def test_a_broken_list_of_students_is_named(archive, submitted: Path) -> None:
    submitted.mkdir()
    for broken in ("{", "[1]"):
        (submitted / ".students.json").write_text(broken, encoding="utf-8")
        with pytest.raises(DownloadError, match=r".students.json in submitted/ is broken"):
            unpack(archive({"ada_1_2_03-vae.ipynb": b"x"}), submitted, LABS)
    (submitted / ".students.json").write_text(json.dumps({"1": "../../evil"}), encoding="utf-8")
    unpack(archive({"ada_1_2_03-vae.ipynb": b"x"}), submitted, LABS)
    assert laid_out(submitted) == {"evil/03-vae/03-vae.ipynb": b"x"}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Анна Каренина", "Анна Каренина"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\\b:c*d", "a-b-c-d"),
        (".hidden.", "hidden"),
        ("a+b", "a-b"),
        ("a\x1b[31m\nb\u202ec\ud800", "a-[31m-b-c"),
        ("", "nameless"),
        ("...", "nameless"),
        ("e\u0301", "é"),
    ],
)
def test_names_become_safe_folders(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_names_do_not_grow_too_long_for_a_file() -> None:
    for letter in ("x", "é", "李", "😀"):
        assert safe_name(letter * 1000).encode() in [letter.encode() * count for count in (50, 66, 100)]
