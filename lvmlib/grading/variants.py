"""The matrix: every judge over every right and wrong variant, and what the public check says to each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lvmlib.check import complain
from lvmlib.exercises.key import Key
from lvmlib.grading.judges import Function, Judge, of_lab
from lvmlib.grading.key import make_key
from lvmlib.probe import Unsolved

RIGHT_SEEDS = 20
WRONG_SEEDS = 5


@dataclass(frozen=True)
class Trial:
    """How one variant fared.

    `rejections` is what the judge said on each seed (None where it passed); `public` is what the student's own check
    says, and `named` whether that is the variant's own sentence.
    """

    exercise: str
    variant: str
    right: bool
    rejections: tuple[str | None, ...]
    public: str | None

    @property
    def named(self) -> bool:
        """Whether the student's own check says the variant's own sentence."""
        return self.public is not None and self.variant in self.public

    @property
    def as_it_should(self) -> bool:
        """A right variant passes everywhere; a wrong one fails on every seed and in the public check."""
        if self.right:
            return self.public is None and not any(self.rejections)
        return self.public is not None and all(self.rejections)


def trials(lab: str) -> Iterator[Trial]:
    """Try every variant of a lab; the reference counts as a right one."""
    for judge in of_lab(lab):
        known = None if judge.exercise.law else make_key(judge)
        for name, function in {"reference": judge.reference, **judge.right}.items():
            yield try_variant(judge, name, function, right=True, known=known)
        for sentence, function in judge.wrong.items():
            yield try_variant(judge, sentence, function, right=False, known=known)


def try_variant(judge: Judge, name: str, function: Function, *, right: bool, known: Key | None = None) -> Trial:
    """One variant before the judge on many seeds, and before the public check."""
    seeds = range(100, 100 + (RIGHT_SEEDS if right else WRONG_SEEDS))
    return Trial(
        exercise=judge.exercise.name,
        variant=name,
        right=right,
        rejections=tuple(_rejection(judge, function, seed) for seed in seeds),
        public=complain(judge.exercise, function, known),
    )


def _rejection(judge: Judge, function: Function, seed: int) -> str | None:
    try:
        return judge.verdict(judge.answers(function, seed), seed)
    except Unsolved:
        return "not written yet"


def report(labs: list[str]) -> bool:
    """Print the matrix of each lab in figures, and every variant that does not fare as it should.

    Returns:
        Whether all of them do.
    """
    sound = True
    for lab in labs:
        tried = list(trials(lab))
        right, wrong = [t for t in tried if t.right], [t for t in tried if not t.right]
        print(
            f"{lab}: {len(right)} right variants, {sum(not t.as_it_should for t in right)} false alarms; "
            f"{len(wrong)} wrong variants, {sum(not t.as_it_should for t in wrong)} survivors, "
            f"{sum(t.named for t in wrong)} named"
        )
        for trial in tried:
            if not trial.as_it_should or not (trial.right or trial.named):
                print(f"  {trial.exercise} · {trial.variant}: {trial.public or trial.rejections}")
        sound = sound and all(trial.as_it_should for trial in tried)
    return sound
