"""Where the site, the repository and Colab are, as far as pyproject.toml says."""

from __future__ import annotations

from dataclasses import dataclass

from lvmlib.authoring.course import Course
from lvmlib.authoring.release import doubt_address
from lvmlib.authoring.text import GITHUB, read_placeholders


@dataclass(frozen=True)
class Addresses:
    """Addresses for the pages; each is empty where it is not known.

    Attributes:
        repository: where the course is to be cloned from.
        tag: the released state.
        colab: where Colab opens the repository's files.
        site: where GitHub Pages shows this site, with a slash at the end.
    """

    repository: str = ""
    tag: str = ""
    colab: str = ""
    site: str = ""

    def notebook_on_colab(self, lab: str) -> str:
        """Where Colab opens what students get of a lab."""
        return f"{self.colab}/course/{lab}/{lab}.ipynb" if self.colab else ""

    def file(self, path: str) -> str:
        """A file of the repository, to be read there."""
        return f"{self.repository}/blob/{self.tag}/{path}" if self.repository else ""


def find_addresses(course: Course) -> Addresses:
    """What `[tool.lvm]` says; nothing while that is a placeholder or no repository on GitHub."""
    if doubt_address(course):
        return Addresses()
    told = read_placeholders(course.root / "pyproject.toml")
    owner, _, name = told["repository"].removeprefix(GITHUB).partition("/")
    return Addresses(told["repository"], told["tag"], told["colab"], f"https://{owner.lower()}.github.io/{name}/")
