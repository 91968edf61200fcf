"""The training loop: one loop that knows no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lvmlib import checkpoint as checkpoints
from lvmlib.checkpoint import CheckpointError
from lvmlib.drive import locate
from lvmlib.early_stopping import EarlyStopping
from lvmlib.history import History
from lvmlib.progress import Progress, line
from lvmlib.random_state import preserved_random_state, random_state, set_random_state
from lvmlib.running_means import RunningMeans
from lvmlib.tensorboard import tensorboard

__all__ = ["EarlyStopping", "TrainingStopped", "clip_gradients", "fit"]

Batch = TypeVar("Batch")
Metrics = Mapping[str, Tensor]

STEPS_BETWEEN_READS = 1000


class TrainingStopped(RuntimeError):
    """A metric or a weight became NaN or infinite.

    Attributes:
        metric: its name.
        epoch: the epoch, from 1.
        step: the step within that epoch, from 1; 0 if a weight was found broken at its end.
        history: the epochs that were complete.
    """

    def __init__(self, message: str, *, metric: str, epoch: int, step: int) -> None:
        super().__init__(message)
        self.metric = metric
        self.epoch = epoch
        self.step = step
        self.history = History()


def fit(
    step: Callable[[Batch], Metrics],
    batches: Iterable[Batch],
    *,
    epochs: int,
    validate: Callable[[], Mapping[str, float | Tensor]] | None = None,
    every: int = 1,
    stop: EarlyStopping | None = None,
    checkpoint: str | Path | None = None,
    state: Mapping[str, Any] | None = None,
    log: str | Path | None = None,
    on_epoch: Callable[[int], Mapping[str, Tensor] | None] | None = None,
    progress: bool = True,
) -> History:
    """Call `step` on every batch, `epochs` times over, and keep account.

        def step(x):
            loss = -elbo(x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return {"loss": loss}

        history = fit(step, batches(train.images, 64, generator=g), epochs=20)

    Interrupting it by hand keeps the epochs that were complete.  `validate` and `on_epoch` may draw random numbers: the
    global streams and that of the batches are put back afterwards, so they never change the training.  Weights & Biases
    sees the same as TensorBoard after `wandb.init(sync_tensorboard=True)`.

    Args:
        step: one step of training, backward pass and optimizer included; returns 0-d tensors, which may still be on the
            device and hold their graph.  An epoch's metric is the mean over the steps that reported it.
        batches: iterated once an epoch, so a list, a `DataLoader` or `lvmlib.batches(…)`, but not a generator.  Their
            length gives the bar its end; a `torch.Generator` as attribute `generator` is kept in the checkpoint.
        epochs: how many in all, those before a resume included.
        validate: returns floats or 0-d tensors, stored under the names it gives, by convention `"test/loss"`; they may
            be NaN.  It switches modules to eval mode and back itself.
        every: epochs from one validation to the next.
        stop: early stopping by any of the metrics.
        checkpoint: file that holds the last complete epoch.  If it exists, training goes on from it, on a CPU with
            exactly the numbers an uninterrupted training would have given.  `"drive:NAME"` keeps it on Google Drive
            where there is one (`lvmlib.drive.locate`).  Without a checkpoint `state` is not used.
        state: name → what changes during training: modules, optimizers, schedulers, anything with `state_dict` and
            `load_state_dict`, tensors, generators of noise.
        log: folder for TensorBoard, one a training; every metric as a scalar at each epoch.
        on_epoch: called with the epoch's number (from 1); may return images for `log`, (C, H, W) or (N, C, H, W) in
            [0, 1].
        progress: whether to show a bar and, at the end, one line.

    Returns:
        The metrics of every complete epoch.

    Raises:
        TrainingStopped: a metric of `step`, or a weight about to be saved, is NaN or infinite.
        CheckpointError: `checkpoint` exists and cannot be read or does not fit, or Drive was not mounted; the file and
            the objects are unchanged.
        ImportError: `log` without TensorBoard.
        TypeError: `step` does not return a dict of 0-d tensors, or `validate` not one of single numbers.
        ValueError: the arguments contradict each other, or an epoch has no batch.
    """
    if every < 1 or epochs < 0:
        raise ValueError(f"every is {every} and epochs is {epochs}; give at least 1 and 0.")
    if checkpoint is not None and not state:
        raise ValueError("fit(checkpoint=…) needs to know what to save: give state=dict(model=…, optimizer=…).")
    if stop is not None:
        stop.reset()
    generator = _generator(batches)
    kept = dict(state or {}) | ({} if generator is None else {"batches.generator": generator})
    file = None if checkpoint is None else locate(checkpoint, announce=progress)
    history = History() if file is None else _resume(file, kept, stop)
    if progress and history.epochs:
        print(f"resumed from {file} after epoch {history.epochs}")
    bar = Progress(epochs, _length(batches), history.epochs, line(progress))
    ending = ""
    with tensorboard(log, history.epochs + 1) as write:
        try:
            while history.epochs < epochs and not (stop is not None and stop.reached):
                began = perf_counter()
                epoch = history.epochs + 1
                row = _train(step, batches, epoch, bar)
                if validate is not None and epoch % every == 0:
                    with preserved_random_state(generator):
                        row = _joined(row, validate())
                _update(stop, row, epoch, measured=validate is None or epoch % every == 0)
                if file is not None:
                    _refuse_broken_weights(kept, epoch)
                history.append(row, perf_counter() - began)
                images = None
                if on_epoch is not None:
                    with preserved_random_state(generator):
                        images = on_epoch(epoch)
                write(epoch, row, images or {})
                if file is not None:
                    _save(file, kept, stop, history)
            ending = _ending(history, stop)
        except KeyboardInterrupt:
            ending = f"stopped by hand after epoch {history.epochs}"
            if not progress:
                print(ending, flush=True)
        except TrainingStopped as stopped:
            stopped.history = history
            raise
        finally:
            if stop is not None:
                stop.restore_best()
            bar.close(ending)
    return history


def clip_gradients(parameters: Iterable[Tensor], max_norm: float | None) -> Tensor:
    """Scale all gradients together so that their joint Euclidean norm is at most `max_norm`, in place.

    Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks*, 2013, algorithm 1.

    Args:
        parameters: those without a gradient are passed over.
        max_norm: None leaves the gradients alone.

    Returns:
        The norm before, a 0-d tensor on the gradients' device: a metric to return from `step`.
    """
    parameters = [parameter for parameter in parameters if parameter.grad is not None]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if max_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm


def _train(step: Callable[[Batch], Metrics], batches: Iterable[Batch], epoch: int, bar: Progress) -> dict[str, float]:
    """One epoch; the metrics' means."""
    means = RunningMeans()
    for batch in batches:
        means.add(step(batch))
        if bar.due or means.unread >= STEPS_BETWEEN_READS:
            _read(means, epoch)
            bar.show(epoch, means.steps, means.means())
    if not means.steps:
        raise ValueError(
            f"batches yielded nothing in epoch {epoch}; give something that can be iterated anew every epoch "
            "(a list or lvmlib.batches, not a generator) and that is not empty."
        )
    _read(means, epoch)
    return means.means()


def _read(means: RunningMeans, epoch: int) -> None:
    broken = means.read()
    if broken is not None:
        raise TrainingStopped(
            f"{broken.metric} became {broken.value} at step {broken.step} of epoch {epoch}; lower the learning rate, "
            "clip the gradients, or look for log, division or exp of an unbounded number in the loss. "
            "The complete epochs are in this error's .history.",
            metric=broken.metric,
            epoch=epoch,
            step=broken.step,
        )


def _joined(row: dict[str, float], measured: Mapping[str, float | Tensor]) -> dict[str, float]:
    if clash := row.keys() & measured.keys():
        name = min(clash)
        raise ValueError(f"step and validate both report {name!r}; let validate call it {'test/' + name!r}.")
    return row | {name: _number(name, value) for name, value in measured.items()}


def _number(name: str, value: float | Tensor) -> float:
    if not isinstance(value, Tensor):
        return float(value)
    if value.ndim:
        raise TypeError(f"validate returned {name!r} of shape {tuple(value.shape)}; give one number, like its mean.")
    return float(value.detach())


def _update(stop: EarlyStopping | None, row: Mapping[str, float], epoch: int, *, measured: bool) -> None:
    if stop is None:
        return
    if measured and stop.metric not in row:
        raise ValueError(f"early stopping waits for {stop.metric!r}, but this training reports {', '.join(row)}.")
    stop.update(row, epoch)


def _refuse_broken_weights(state: Mapping[str, Any], epoch: int) -> None:
    """The last step's loss may be finite and its gradient not; such weights must not replace the good checkpoint."""
    for path, tensor in _trained(state):
        if not tensor.isfinite().all():
            raise TrainingStopped(
                f"{path} holds NaN or infinity after epoch {epoch}, so the checkpoint was left as it was; lower "
                "the learning rate or clip the gradients. The complete epochs are in this error's .history.",
                metric=path,
                epoch=epoch,
                step=0,
            )


def _trained(state: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """The parameters of modules, tensors, and those that other objects hold in their state, such as particles."""
    for name, part in state.items():
        if isinstance(part, nn.Module):
            yield from part.named_parameters(prefix=name)
        elif isinstance(part, Tensor):
            yield name, part
        elif hasattr(part, "state_dict"):
            yield from ((f"{name}.{key}", held) for key, held in part.state_dict().items() if isinstance(held, Tensor))


def _save(path: Path, kept: Mapping[str, Any], stop: EarlyStopping | None, history: History) -> None:
    checkpoints.save(
        path,
        {
            "state": checkpoints.capture(kept),
            "stop": None if stop is None else stop.state_dict(),
            "random": random_state(),
            "history": history.state_dict(),
        },
    )


def _resume(path: Path, kept: Mapping[str, Any], stop: EarlyStopping | None) -> History:
    """Put everything back as it was after the last complete epoch; a fresh start if there is no file."""
    # what cannot be saved should be known before the first epoch, not after it
    checkpoints.capture(kept)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return History()
    saved = checkpoints.load(path)
    if not saved.keys() >= {"state", "stop", "random", "history"}:
        raise CheckpointError(f"{path} is a checkpoint, but not one of fit; give another path.")
    if stop is not None and saved["stop"] is not None:
        try:
            stop.load_state_dict(saved["stop"])
        except ValueError as error:
            raise CheckpointError(f"{path} does not fit this training: {error}; give another path.") from error
    checkpoints.restore(kept, saved["state"], path)
    set_random_state(saved["random"])
    return History.from_state_dict(saved["history"])


def _ending(history: History, stop: EarlyStopping | None) -> str:
    if stop is not None and stop.reached:
        return f"{history.summary()} · stopped early: {stop.summary()}"
    return history.summary()


def _length(batches: Iterable[Any]) -> int | None:
    """Steps an epoch, or None; a `DataLoader` over a stream has `__len__` and raises."""
    try:
        return len(batches)  # type: ignore[arg-type]
    except TypeError:
        return None


def _generator(batches: Iterable[Any]) -> torch.Generator | None:
    generator = getattr(batches, "generator", None)
    return generator if isinstance(generator, torch.Generator) else None
