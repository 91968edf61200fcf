"""The instructors' side: judging, variants, grading.  Nothing here is imported by a notebook that students open."""

from lvmlib.grading.judges import judge

__all__ = ["judge"]
