from __future__ import annotations

import builtins
import math
import os
import signal
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lvmlib import progress as progress_module
from lvmlib.checkpoint import CheckpointError, load, save
from lvmlib.early_stopping import EarlyStopping
from lvmlib.fit import TrainingStopped, clip_gradients, fit
from lvmlib.history import History
from lvmlib.particles import ParticleCloud

Hook = Callable[[int], None]


class Shuffled:
    """Batches of a tensor in a new order each epoch."""

    def __init__(self, data: Tensor, size: int, seed: int) -> None:
        self.data, self.size = data, size
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def __iter__(self) -> Iterator[Tensor]:
        for index in torch.randperm(len(self.data), generator=self.generator).split(self.size):
            yield self.data[index]


class Training:
    """A regression with every kind of state: Adam, dropout, a scheduler, a particle tensor, a noise generator."""

    def __init__(self, seed: int = 0, width: int = 8) -> None:
        torch.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.99)
        self.particles = torch.zeros(3)
        self.noise = torch.Generator().manual_seed(seed)
        self.batches = Shuffled(torch.randn(40, 4, generator=torch.Generator().manual_seed(5)), 16, seed)
        self.steps = 0
        self.before_step: Hook = lambda step: None

    def step(self, x: Tensor) -> dict[str, Tensor]:
        self.steps += 1
        self.before_step(self.steps)
        self.particles += 0.1 * torch.randn(3, generator=self.noise)
        loss = (self.model(x).squeeze(1) - x.sum(1)).pow(2).mean() + self.particles.pow(2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return {"loss": loss, "particle": self.particles.mean()}

    def validate(self) -> dict[str, float | Tensor]:
        # noise makes some validations worse than the best; it must not reach the training
        return {"test/loss": self.model[0].weight.abs().mean() + torch.rand(())}

    @property
    def state(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "particles": self.particles,
            "noise": self.noise,
        }

    def run(self, epochs: int, checkpoint: Path | None = None, **options: Any) -> History:
        options = {"validate": self.validate, "every": 2, "progress": False} | options
        return fit(self.step, self.batches, epochs=epochs, checkpoint=checkpoint, state=self.state, **options)

    def numbers(self) -> list[list[float]]:
        tensors = [*self.model.state_dict().values(), self.particles, torch.rand(2)]
        for moments in self.optimizer.state.values():
            tensors += [moments["exp_avg"], moments["exp_avg_sq"]]
        return [tensor.flatten().tolist() for tensor in tensors]


def constant(value: float) -> Callable[[Any], dict[str, Tensor]]:
    return lambda batch: {"loss": torch.tensor(value)}


# --- the loop


def test_an_epoch_is_the_mean_over_its_steps() -> None:
    history = fit(lambda x: {"loss": x, "square": x**2}, torch.tensor([1.0, 2.0, 6.0]), epochs=2, progress=False)
    assert history["loss"] == [3.0, 3.0]
    assert history["square"] == pytest.approx([41 / 3, 41 / 3])


def test_a_metric_may_be_reported_by_some_steps_only() -> None:
    def step(i: int) -> dict[str, Tensor]:
        critic = {"critic": torch.tensor(float(i))}
        return critic | {"generator": torch.tensor(10.0 * i)} if i % 2 else critic

    history = fit(step, range(4), epochs=1, progress=False)
    assert history.rows == [{"critic": 1.5, "generator": 20.0}]


def test_a_reported_tensor_may_change_later() -> None:
    total = torch.zeros(())

    def step(value: int) -> dict[str, Tensor]:
        total.add_(value)
        return {"total": total}

    assert fit(step, [1, 1, 1], epochs=1, progress=False)["total"] == [2.0]


def test_metrics_do_not_keep_graphs() -> None:
    weight = nn.Parameter(torch.ones(()))
    alive: list[Any] = []

    def step(_: int) -> dict[str, Tensor]:
        loss = weight * 2.0
        alive.append(weakref.ref(loss))
        return {"loss": loss}

    def look(_: int) -> dict[str, Tensor]:
        assert not any(reference() is not None for reference in alive)
        return step(_)

    fit(look, range(5), epochs=1, progress=False)
    assert len(alive) == 5


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (None, "step returned None; let it return a dict of 0-d tensors"),
        (torch.zeros(()), r"step returned a tensor of shape \(\)"),
        ({"loss": torch.zeros(64)}, r"step returned a tensor of shape \(64,\) as 'loss'; metrics are 0-d tensors"),
        ({"loss": 1.0}, "step returned a float as 'loss'"),
    ],
)
def test_what_step_must_return(returned: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        fit(lambda batch: returned, range(3), epochs=1, progress=False)


def test_batches_that_run_out_are_refused() -> None:
    with pytest.raises(ValueError, match="batches yielded nothing in epoch 2"):
        fit(constant(1.0), (i for i in range(3)), epochs=2, progress=False)


def test_arguments_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="every is 0"):
        fit(constant(1.0), range(3), epochs=1, every=0)
    with pytest.raises(ValueError, match=r"give state=dict\(model="):
        fit(constant(1.0), range(3), epochs=1, checkpoint="a.pt")


def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that stands still a thousand steps are read at once, one call a metric."""
    reads = []
    for name in ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__", "__format__", "to"):
        original = getattr(Tensor, name)

        def counting(self: Tensor, *args: Any, _original: Any = original, _name: str = name, **kwargs: Any) -> Any:
            reads.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(Tensor, name, counting)
    monkeypatch.setattr(progress_module, "perf_counter", lambda: 0.0)
    one = torch.ones(())
    history = fit(lambda _: {"loss": one, "rate": one}, range(1500), epochs=2, progress=False)
    assert reads == ["tolist"] * 8
    assert history["loss"] == [1.0, 1.0]


# --- validation


def test_validation_runs_every_so_many_epochs() -> None:
    values = iter([torch.tensor(5.0), 4.0])

    def measure() -> dict[str, float | Tensor]:
        return {"test/loss": next(values)}

    history = fit(constant(1.0), range(2), epochs=5, validate=measure, every=2, progress=False)
    assert [row.get("test/loss") for row in history.rows] == [None, 5.0, None, 4.0, None]


def test_validation_and_pictures_do_not_change_the_training() -> None:
    plain = Training()
    plain.run(4, validate=None)
    expected = plain.numbers()
    watched = Training()

    def draw(_: int) -> None:
        torch.rand(7)
        list(watched.batches)

    watched.run(4, every=1, on_epoch=draw)
    assert watched.numbers() == expected


def test_validation_returns_numbers() -> None:
    with pytest.raises(TypeError, match=r"validate returned 'test/loss' of shape \(3,\); give one number"):
        fit(constant(1.0), range(2), epochs=1, validate=lambda: {"test/loss": torch.zeros(3)}, progress=False)


def test_a_name_may_not_be_used_twice() -> None:
    with pytest.raises(ValueError, match="step and validate both report 'loss'; let validate call it 'test/loss'"):
        fit(constant(1.0), range(2), epochs=1, validate=lambda: {"loss": 1.0}, progress=False)


# --- NaN and infinity


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_broken_step_is_named(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "perf_counter", lambda: 0.0)
    counter = iter(range(1, 1000))

    def step(_: int) -> dict[str, Tensor]:
        n = next(counter)
        rate = torch.tensor(bad if n >= 137 else 1.0)
        return {"loss": torch.tensor(math.nan if n >= 138 else 1.0), "rate": rate}

    with pytest.raises(TrainingStopped, match=f"rate became {bad} at step 37 of epoch 2; lower the learning") as caught:
        fit(step, range(100), epochs=3, progress=False)
    stopped = caught.value
    assert (stopped.metric, stopped.epoch, stopped.step) == ("rate", 2, 37)
    assert stopped.history.rows == [{"loss": 1.0, "rate": 1.0}]


def test_broken_weights_do_not_replace_a_checkpoint(tmp_path: Path) -> None:
    training = Training()

    def break_last(step: int) -> None:
        if step == 6:
            training.model[0].weight.register_hook(lambda gradient: gradient * math.nan)

    training.before_step = break_last
    with pytest.raises(TrainingStopped, match="model.0.weight holds NaN or infinity after epoch 2") as caught:
        training.run(5, tmp_path / "a.pt")
    assert caught.value.history.epochs == 1
    assert len(load(tmp_path / "a.pt")["history"]["rows"]) == 1


@pytest.mark.parametrize("held", ["a tensor", "a cloud"])
def test_broken_particles_do_not_replace_a_checkpoint(held: str, tmp_path: Path) -> None:
    cloud = ParticleCloud(3, 1, 2, generator=torch.Generator().manual_seed(0), quiet=True)
    z = torch.zeros(3, 2)
    steps = iter(range(10))

    def step(_: object) -> dict[str, torch.Tensor]:
        if next(steps) == 3:
            z.fill_(math.inf)
            cloud.put([0], torch.full((1, 1, 2), math.nan))
        return {"loss": torch.zeros(())}

    state = {"particles": z if held == "a tensor" else cloud}
    with pytest.raises(TrainingStopped, match="^particles.* holds NaN or infinity after epoch 2"):
        fit(step, [0, 1], epochs=5, checkpoint=tmp_path / "a.pt", state=state, progress=False)
    assert len(load(tmp_path / "a.pt")["history"]["rows"]) == 1


# --- interruption


def test_an_interruption_keeps_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    training = Training()

    def interrupt(step: int) -> None:
        if step == 8:
            raise KeyboardInterrupt

    training.before_step = interrupt
    history = training.run(5)
    assert history.epochs == 2
    assert capsys.readouterr().out == "stopped by hand after epoch 2\n"


# --- early stopping


def stopping_run(values: list[float], patience: int, **options: Any) -> tuple[EarlyStopping, History]:
    stop = EarlyStopping("test/loss", patience, **options)
    measured = iter(values)
    history = fit(
        constant(1.0),
        range(2),
        epochs=len(values),
        validate=lambda: {"test/loss": next(measured)},
        stop=stop,
        progress=False,
    )
    return stop, history


def test_stops_when_patience_runs_out() -> None:
    stop, history = stopping_run([5, 4, 4, 4.5, 3, 2], patience=2)
    assert history.epochs == 4
    assert (stop.best, stop.best_epoch, stop.reached) == (4, 2, True)


def test_may_maximise() -> None:
    assert stopping_run([1, 2, 3, 2.5, 2.5, 9], patience=2, minimise=False)[1].epochs == 5


def test_a_nan_is_no_gain() -> None:
    stop, history = stopping_run([math.nan, 3, math.nan, math.nan, 1], patience=2)
    assert (history.epochs, stop.best) == (4, 3)


def test_best_weights_come_back() -> None:
    model = nn.Linear(1, 1)
    epochs = iter(range(1, 10))
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: 5.0}

    def validate() -> dict[str, float]:
        epoch = next(epochs)
        nn.init.constant_(model.weight, epoch)
        return {"test/loss": losses[epoch]}

    stop = EarlyStopping("test/loss", patience=2, restore=model)
    history = fit(constant(1.0), range(2), epochs=9, validate=validate, stop=stop, progress=False)
    assert history.epochs == 4
    assert model.weight.item() == 2.0


def test_best_weights_come_back_after_nan_too() -> None:
    model = nn.Linear(1, 1)
    losses = iter([2.0, 2.0, 1.0, 1.0, math.nan, math.nan])

    def step(_: int) -> dict[str, Tensor]:
        loss = next(losses)
        nn.init.constant_(model.weight, loss)
        return {"loss": torch.tensor(loss)}

    with pytest.raises(TrainingStopped):
        fit(step, range(2), epochs=4, stop=EarlyStopping("loss", 2, restore=model), progress=False)
    assert model.weight.item() == 1.0


def test_an_object_used_twice_starts_afresh() -> None:
    stop = EarlyStopping("loss", patience=1)
    assert fit(constant(1.0), range(2), epochs=5, stop=stop, progress=False).epochs == 2
    assert fit(constant(9.0), range(2), epochs=5, stop=stop, progress=False).epochs == 2


def test_a_metric_nobody_reports_is_named() -> None:
    with pytest.raises(ValueError, match="early stopping waits for 'test/elbo', but this training reports loss"):
        fit(constant(1.0), range(2), epochs=5, stop=EarlyStopping("test/elbo", 3), progress=False)
    with pytest.raises(ValueError, match="patience is 0"):
        EarlyStopping("loss", 0)


# --- checkpoints


def stopping(training: Training) -> EarlyStopping:
    return EarlyStopping("test/loss", patience=3, restore=training.model)


def uninterrupted(epochs: int = 30) -> tuple[list[list[float]], History]:
    training = Training()
    history = training.run(epochs, stop=stopping(training))
    return training.numbers(), history


@pytest.mark.parametrize("first", [1, 3, 5])
def test_resumes_bit_exactly(tmp_path: Path, first: int) -> None:
    expected, whole = uninterrupted()
    begun = Training()
    begun.run(first, tmp_path / "a.pt", stop=stopping(begun))
    resumed = Training(seed=99)
    history = resumed.run(30, tmp_path / "a.pt", stop=stopping(resumed))
    assert resumed.numbers() == expected
    assert history == whole


def test_the_yardstick_stops_early_and_restores() -> None:
    """The training compared above ends before its time, with weights that are not its last."""
    numbers, history = uninterrupted()
    last = Training()
    last.run(history.epochs)
    assert 5 < history.epochs < 30
    assert numbers != last.numbers()


def test_a_kill_in_mid_epoch_goes_on_from_the_last_complete_one(tmp_path: Path) -> None:
    expected, whole = uninterrupted(epochs=5)
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_fit import Training, stopping
        training = Training()
        training.before_step = lambda step: step == 8 and os.kill(os.getpid(), signal.SIGKILL)
        training.run(5, Path({str(tmp_path / "a.pt")!r}), stop=stopping(training))
    """)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(load(tmp_path / "a.pt")["history"]["rows"]) == 2
    resumed = Training(seed=99)
    history = resumed.run(5, tmp_path / "a.pt", stop=stopping(resumed))
    assert resumed.numbers() == expected
    assert history == whole


def test_a_finished_training_is_loaded_and_not_repeated(tmp_path: Path) -> None:
    done = Training()
    history = done.run(12, tmp_path / "a.pt", stop=stopping(done))
    again = Training(seed=99)
    assert again.run(12, tmp_path / "a.pt", stop=stopping(again)) == history
    assert again.steps == 0
    assert again.model[0].weight.equal(done.model[0].weight)


def test_resuming_adds_up_the_time(tmp_path: Path) -> None:
    first = Training().run(2, tmp_path / "a.pt")
    second = Training().run(3, tmp_path / "a.pt")
    assert second.durations[:2] == first.durations


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"stop": EarlyStopping("loss", 3)}, "it stops early by 'test/loss' and this training by 'loss'"),
        ({"stop": EarlyStopping("test/loss", 3, restore=nn.Linear(1, 1))}, "written without the best weights"),
        ({"state": {"model": nn.Linear(1, 1)}}, "has 'noise', 'optimizer'"),
        ({"batches": [torch.zeros(2, 4)]}, "has 'batches.generator', which this training does not"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_left(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "a.pt"
    Training().run(2, path, stop=EarlyStopping("test/loss", 3))
    saved = path.read_bytes()
    other = Training(seed=1)
    before, stream = str(other.model.state_dict()), torch.get_rng_state()
    arguments = {"batches": other.batches, "state": other.state} | options
    with pytest.raises(CheckpointError, match=r"a\.pt does not fit this training: .*" + sentence):
        fit(other.step, epochs=3, checkpoint=path, **arguments)
    assert path.read_bytes() == saved
    assert str(other.model.state_dict()) == before
    assert torch.get_rng_state().equal(stream)


def test_other_checkpoints_and_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    Training().run(1, path)
    with pytest.raises(CheckpointError, match=r"'model.0.weight' has shape \(8, 4\) in it and \(9, 4\)"):
        Training(width=9).run(2, path)
    save(path, {"particles": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="is a checkpoint, but not one of fit"):
        Training().run(2, path)


def test_what_cannot_be_saved_is_refused_before_training(tmp_path: Path) -> None:
    training = Training()
    with pytest.raises(CheckpointError, match="'beta' is a float"):
        fit(training.step, training.batches, epochs=1, checkpoint=tmp_path / "a.pt", state={"beta": 0.5})
    assert training.steps == 0


# --- TensorBoard


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def test_scalars_and_images_are_logged(tmp_path: Path) -> None:
    training = Training()

    def pictures(epoch: int) -> dict[str, Tensor] | None:
        if epoch == 2:
            return None
        return {"one": torch.full((1, 5, 7), 2.0), "many": torch.rand(4, 3, 5, 7, requires_grad=True)}

    history = training.run(3, every=1, log=tmp_path / "log", on_epoch=pictures)
    logged = events(tmp_path / "log")
    for name in ("loss", "particle", "test/loss"):
        scalars = logged.Scalars(name)
        assert [event.step for event in scalars] == [1, 2, 3]
        assert [event.value for event in scalars] == pytest.approx(history[name])
    assert [event.step for event in logged.Images("one")] == [1, 3]
    assert (logged.Images("one")[0].height, logged.Images("one")[0].width) == (5, 7)
    assert len(logged.Images("many")) == 2


def test_a_resumed_training_goes_on_in_its_log(tmp_path: Path) -> None:
    Training().run(2, tmp_path / "a.pt", log=tmp_path / "log")
    Training().run(4, tmp_path / "a.pt", log=tmp_path / "log")
    assert [event.step for event in events(tmp_path / "log").Scalars("loss")] == [1, 2, 3, 4]


def test_a_new_training_does_not_mix_its_curves_with_an_earlier_one(tmp_path: Path) -> None:
    for epochs in (1, 2, 3):
        Training().run(epochs, log=tmp_path / "log")
    logged = [len(events(tmp_path / name).Scalars("loss")) for name in ("log", "log-2", "log-3")]
    assert logged == [1, 2, 3]


def test_an_image_of_another_shape_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"on_epoch returned 'grid' of shape \(28, 28\); give \(C, H, W\)"):
        Training().run(1, log=tmp_path, on_epoch=lambda epoch: {"grid": torch.zeros(28, 28)})


def test_a_missing_tensorboard_is_said_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    training = Training()
    with pytest.raises(ImportError, match="run `pip install tensorboard`, or leave out log"):
        training.run(1, log=tmp_path)
    assert training.steps == 0


# --- what is shown


def test_a_log_file_gets_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    history = fit(constant(2.0), range(3), epochs=4)
    out, err = capfd.readouterr()
    assert out == history.summary() + "\n"
    assert err == ""


def test_early_stopping_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    fit(constant(2.0), range(3), epochs=4, stop=EarlyStopping("loss", 1))
    assert capsys.readouterr().out.endswith("stopped early: loss was best, 2, after epoch 1\n")


def test_a_terminal_gets_a_bar_that_its_last_line_replaces(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_UPDATES", -1.0)
    history = fit(constant(2.0), range(3), epochs=2)
    out, err = capfd.readouterr()
    shown = out.split("\r")
    assert err == ""
    assert out.count("\n") == 1
    assert "epoch 2/2" in shown[-2] and "6/6" in shown[-2] and "loss 2" in shown[-2]
    assert shown[-1].rstrip() == history.summary()


def test_a_notebook_keeps_one_output_and_no_red_box() -> None:
    import nbclient
    import nbformat

    source = textwrap.dedent("""
        import torch
        import lvmlib.progress
        from lvmlib.fit import fit
        lvmlib.progress.SECONDS_BETWEEN_UPDATES = -1.0
        history = fit(lambda batch: {"loss": torch.tensor(2.0)}, range(20), epochs=3)
    """)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"].startswith("epoch 3 · loss 2 · ")


# --- clipping


def test_clipping_scales_all_gradients_together() -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(3))]
    parameters[0].grad = torch.tensor([3.0, 0.0])
    parameters[1].grad = torch.tensor([4.0])
    norm = clip_gradients(iter(parameters), 2.5)
    assert norm.shape == ()
    assert norm.item() == 5.0
    torch.testing.assert_close(parameters[0].grad, torch.tensor([1.5, 0.0]))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([2.0]))


@pytest.mark.parametrize("limit", [None, 6.0])
def test_clipping_leaves_what_is_short_enough(limit: float | None) -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    assert clip_gradients([parameter], limit).item() == 5.0
    assert parameter.grad.tolist() == [3.0, 4.0]
