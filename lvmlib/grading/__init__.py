"""The instructors' side: judging, variants, grading.  Nothing here is imported by a notebook that students open.

A run of `lvm grade` (`marking`), in the order in which a submission meets it:

- `inbox`, `downloads`, `submission`: where submissions lie, and the bytes of each;
- `changes`, `fingerprint`, `records`: what is known of it, and what has to be decided anew;
- `cluster`, `task`: what a worker does with it, by dask.distributed;
- `reading`, `matching`, `assignment`, `grade_ids`: bytes become cells in the form that was released;
- `sandbox`, `limits`: they run, and are asked, where they can do no harm;
- `verdict`, `judges`, `suspicion`: what came out is judged from outside;
- `publishing`: what follows from the record: in nbgrader's `gradebook` (`lab_cells`, `entering`, `withdrawing`,
  `lateness`, `marks`, `autograded`), as pages (`feedback`, `summary`; `markup`, `template`, `words`), in the `table`.

`results` holds what travels between them; `variants` and `key` try and publish judges; `explain` replays a score.
"""

from lvmlib.grading.judges import judge

__all__ = ["judge"]
