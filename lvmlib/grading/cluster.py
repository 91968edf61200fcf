"""Tasks on many processes, here or elsewhere, by dask.distributed: few at a time, each result when it is there."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from lvmlib.authoring.course import CourseError
from lvmlib.grading import task as tasks
from lvmlib.grading.limits import Limits
from lvmlib.grading.results import Result, Status
from lvmlib.grading.task import Task

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 2
"""Tasks that wait for each worker, so that none waits for a task, and memory does not grow with the class."""
CONNECT_SECONDS = 30
LOOK_SECONDS, PATIENCE = 5, 12
"""How often to see whether there are workers at all, and how often in a row there may be none."""
ALLOWED_FAILURES = 9
JUDGE_MEMORY = 8_000_000_000


@contextmanager
def connected(scheduler: str | None = None, workers: int | None = None) -> Iterator[Client]:
    """A client of a scheduler that runs already, or of workers of this machine's own, one a processor.

    Args:
        scheduler: its address, as `dask scheduler` prints it.

    Raises:
        CourseError: no scheduler answers there, or it has no workers.
    """
    import dask
    from distributed import Client

    settings = {
        "distributed.admin.large-graph-warning-threshold": "1GB",
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
        # A worker may die of many things; a submission that is always there when one does stops nobody else.
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        "distributed.worker.daemon": True,
        "distributed.deploy.lost-worker-timeout": "3s",
        "distributed.diagnostics.nvml": False,
    }
    with dask.config.set(settings):
        if scheduler is None:
            with _own_workers(workers or processors()) as client:
                yield client
            return
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise CourseError(
                f"No scheduler answers at {scheduler}; start one with `dask scheduler` and give the address it prints."
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            except TimeoutError as error:
                raise CourseError(
                    f"The scheduler at {scheduler} has no workers; start one with "
                    f"`dask worker {scheduler} --nthreads 1`."
                ) from error
            yield client


@contextmanager
def _own_workers(count: int) -> Iterator[Client]:
    from distributed import Client, LocalCluster
    from distributed.security import Security

    # Encrypted, since whoever reaches an open port could run code of theirs as you.
    with _interrupts_ignored():
        cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=None,
            silence_logs=logging.CRITICAL + 1,
            security=Security.temporary(),
            protocol="tls://",
        )
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """For processes started inside: Ctrl-C reaches them too, and it is for this one to end them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_ready(client: Client, unsafe: bool, private: tuple[str, ...], limits: Limits) -> None:
    """Have every worker open its sandbox, and do not wait for it; what cannot be opened is told by the first task."""
    from distributed import fire_and_forget

    for worker in client.scheduler_info(n_workers=-1)["workers"]:
        opening = client.submit(
            tasks.open_sandbox, unsafe, private, limits, workers=[worker], allow_other_workers=True, pure=False
        )
        fire_and_forget(opening)


def run(client: Client, work: Iterable[Task]) -> Iterator[Result]:
    """The result of every task, in the order in which they end.

    Raises:
        CourseError: a worker cannot grade, or all of them are gone and none has come back.
    """
    waiting = iter(work)
    running: dict[Future, Task] = {}

    def submit(task: Task) -> None:
        running[client.submit(graded, task, pure=False, retries=0)] = task

    for task in islice(waiting, AHEAD * max(1, _count_workers(client))):
        submit(task)
    while running:
        for future in _first_done(client, list(running)):
            result = _result_of(future, running.pop(future))
            future.release()
            for task in islice(waiting, 1):
                submit(task)
            yield result


def _first_done(client: Client, futures: list[Future]) -> Iterable[Future]:
    from distributed import wait

    missed = 0
    while missed < PATIENCE:
        try:
            with client.as_current():
                return wait(futures, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            missed = 0 if _count_workers(client) else missed + 1
            _replace_lost_workers(client)
    raise CourseError("All workers are gone and none has come back; what is graded is kept, so grade again to go on.")


def _replace_lost_workers(client: Client) -> None:
    """A worker that dies too often is not started again by its guardian; on this machine we can ask for another."""
    if client.cluster is not None:
        client.cluster.scale(len(client.cluster.worker_spec))


def _count_workers(client: Client) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def graded(task: Task) -> Result:
    """Grade on a worker, which must not be brought down by what it judges."""
    # It was started wherever this run was just then: nbgrader enters a lab from a folder that is gone afterwards.
    os.chdir(os.sep)
    _limit_memory()
    return tasks.grade(task)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = JUDGE_MEMORY if hard == resource.RLIM_INFINITY else min(JUDGE_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _result_of(future: Future, task: Task) -> Result:
    from distributed import KilledWorker

    try:
        return future.result()
    except CourseError:
        raise
    except CancelledError:
        raise CourseError("The scheduler is gone; what is graded is kept, so grade again to go on.") from None
    except KilledWorker:
        note = (
            f"{ALLOWED_FAILURES + 1} of the grader's own processes ended while they had it; run it by hand, on a "
            "machine of its own."
        )
    except Exception as error:  # whatever a stranger's notebook brings about must not stop the others
        note = f"The grader itself failed on it with a {type(error).__name__}; run it by hand."
    return Result(task.student, task.assignment.lab, Status.CRASHED, (note,))
