"""A notebook as Colab saves it: nbformat 4.0, names in its own metadata, and who ran each cell."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

PERSON = {"displayName": "Ada Lovelace-Byron", "userId": "10815181210318151218"}
STARTED = 1_790_000_000_000  # milliseconds since 1970
EXPORTS = ("kernelspec", "language_info")
LINK = {
    "cell_type": "markdown",
    "source": [f'<a href="https://colab.research.google.com/drive/1x" target="_parent">{PERSON["displayName"]}</a>'],
    "metadata": {"id": "view-in-github", "colab_type": "text"},
}
"""What Colab puts at the top of a copy that it saves to GitHub."""


def saved_by_colab(notebook: dict[str, Any], *, run: bool = True, link: bool = False) -> bytes:
    """The file that Colab downloads, or keeps on Drive, for a notebook given as JSON of any format 4.

    Args:
        run: whether its code cells were run there, by `PERSON`; what they show names the person as well.
        link: whether the cell that a copy on GitHub gets stands at its top.
    """
    cells = [_cell(cell, number, run) for number, cell in enumerate(notebook["cells"])]
    kept = {key: notebook["metadata"][key] for key in EXPORTS if key in notebook["metadata"]}
    colab = {"provenance": [], "gpuType": "T4", "toc_visible": True, "name": "Copy of a lab by Ada Lovelace-Byron"}
    told = {
        "nbformat": 4,
        "nbformat_minor": 0,
        "metadata": {"colab": colab, "accelerator": "GPU", **kept},
        "cells": [LINK, *cells] if link else cells,
    }
    return json.dumps(told, ensure_ascii=False, indent=2).encode()


def _cell(cell: dict[str, Any], number: int, run: bool) -> dict[str, Any]:
    name = hashlib.sha256(f"{number} {cell['source']}".encode()).hexdigest()
    metadata = copy.deepcopy(cell["metadata"]) | {"id": name[:12]}
    source = "".join(cell["source"]).splitlines(keepends=True)
    if cell["cell_type"] != "code":
        return {"cell_type": cell["cell_type"], "source": source, "metadata": metadata}
    saved = {"cell_type": "code", "source": source, "metadata": metadata, "execution_count": None, "outputs": []}
    if run and source:
        metadata |= {
            "colab": {"base_uri": "https://localhost:8080/", "height": 35},
            "outputId": f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:32]}",
            "executionInfo": {
                "status": "ok",
                "timestamp": STARTED + 1000 * number,
                "user_tz": -60,
                "elapsed": 321,
                "user": PERSON,
            },
        }
        shown = {"output_type": "stream", "name": "stdout", "text": [f"hello {PERSON['displayName']}\n"]}
        saved |= {"execution_count": number + 1, "outputs": [shown]}
    return saved
