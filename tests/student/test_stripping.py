"""What is handed in holds no endless outputs and nothing that a tool noted about its user."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
from notebooks_made import answer, code, exercise, notebook

from lvmlib.student.stripping import Limits, megabytes, serialise, strip


def printed(text: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text}


def shown(data: dict, **metadata: object) -> dict:
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def with_outputs(*outputs: dict) -> dict:
    return code("f()") | {"outputs": list(outputs)}


def outputs_after(*outputs: dict, limits: Limits | None = None) -> tuple[list, list[str]]:
    stripped, notes = strip(notebook(with_outputs(*outputs)), limits or Limits())
    nbformat.validate(nbformat.from_dict(stripped))
    return stripped["cells"][0]["outputs"], notes


def test_an_output_over_the_limit_becomes_a_note() -> None:
    small, large = printed("x" * 900), shown({"image/png": "A" * 2000})
    kept, notes = outputs_after(small, large, limits=Limits(1500, 10_000))
    assert kept == [small, printed("[An output of 2 kB was here; `lvm submit` left it out.]\n")]
    assert notes == ["Replaced 1 large output by a note (2 kB)."]


def test_of_all_outputs_the_largest_go_first() -> None:
    outputs = [printed("x" * size) for size in (500, 900, 700, 100)]
    kept, notes = outputs_after(*outputs, limits=Limits(1000, 1000))
    assert [outputs.index(one) for one in kept if one in outputs] == [0, 3]
    assert notes == ["Replaced 2 large outputs by a note (2 kB)."]


def test_what_is_within_the_limits_stays_as_it_is() -> None:
    outputs = [printed("x"), shown({"text/plain": "y"}, **{"image/png": {"width": 3}})]
    assert outputs_after(*outputs) == (outputs, [])


def test_what_tools_note_goes_and_what_nbgrader_notes_stays() -> None:
    told = {"executionInfo": {"user": {"displayName": "Ada Lovelace", "userId": "1815"}}, "colab": {"base_uri": "x"}}
    cells = [*exercise("double"), answer("why", "so", points=1)]
    noted = [
        cell | {"metadata": cell["metadata"] | told | {"tags": ["kept"], "id": "q1", "outputId": "2"}} for cell in cells
    ]
    stripped, notes = strip(notebook(*noted, widgets={"state": "Ada"}, colab={"name": "Ada's lab"}), Limits())
    assert notes == ["Removed metadata of tools: colab, executionInfo, id, outputId, widgets."]
    assert not any(word in serialise(stripped).decode() for word in ("Ada", "1815", "colab"))
    expected = [cell | {"metadata": cell["metadata"] | {"tags": ["kept"]}} for cell in cells]
    assert stripped["cells"] == expected


def test_widgets_lose_their_views_and_keep_their_words() -> None:
    widget = "application/vnd.jupyter.widget-view+json"
    kept, _ = outputs_after(shown({widget: {"model_id": "1"}}), shown({widget: {}, "text/plain": "slider"}))
    assert kept == [shown({"text/plain": "slider"})]


def test_the_users_folder_is_not_named() -> None:
    home = str(Path.home())
    error = {"output_type": "error", "ename": "E", "evalue": home, "traceback": [f"{home}/lab/x.py in f"]}
    kept, _ = outputs_after(error)
    assert home not in json.dumps(kept) and kept[0]["traceback"] == ["~/lab/x.py in f"]


def test_cells_have_ids_or_not_as_one_format_wants_it() -> None:
    ids = [code("1") | {"id": "one"}, code("2") | {"id": "two"}]
    for cells, minor in ((ids, 5), ([ids[0], code("2")], 4)):
        stripped, _ = strip(notebook(*cells), Limits())
        nbformat.validate(nbformat.from_dict(stripped))
        assert stripped["nbformat_minor"] == minor


def test_the_notebook_given_is_left_as_it_is() -> None:
    mine = notebook(with_outputs(printed("x" * 100)) | {"id": "one"}, code("2"), colab={})
    before = json.dumps(mine)
    strip(mine, Limits(1, 1))
    assert json.dumps(mine) == before


def test_any_text_can_be_written() -> None:
    assert json.loads(serialise(notebook(code("'\ud800é'"))))["cells"][0]["source"] == "'?é'"


def test_sizes_for_a_reader() -> None:
    assert [megabytes(size) for size in (0, 1, 99_499, 123_456, 12_345_678)] == [
        "1 kB",
        "1 kB",
        "99 kB",
        "0.1 MB",
        "12.3 MB",
    ]
