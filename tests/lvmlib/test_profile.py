"""The one switch: which sizes, which device, which random numbers."""

from __future__ import annotations

import random

import numpy
import pytest
import torch

from lvmlib import profile, seed_all, setup


def sizes():
    return profile(smoke={"epochs": 1}, cpu={"epochs": 8}, full={"epochs": 50})


@pytest.mark.parametrize(("name", "epochs"), [("smoke", 1), ("cpu", 8), ("full", 50)])
def test_the_environment_chooses(monkeypatch, name: str, epochs: int) -> None:
    monkeypatch.setenv("LVM_PROFILE", name)
    assert profile.name == name
    assert sizes().epochs == epochs


@pytest.mark.parametrize(("gpu", "name"), [(True, "full"), (False, "cpu")])
def test_a_gpu_means_full_sizes(monkeypatch, gpu: bool, name: str) -> None:
    monkeypatch.delenv("LVM_PROFILE", raising=False)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert profile.name == name


def test_the_validate_button_runs_a_lab_in_miniature(monkeypatch) -> None:
    monkeypatch.delenv("LVM_PROFILE", raising=False)
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    assert profile.name == "smoke"
    monkeypatch.setenv("LVM_PROFILE", "cpu")
    assert profile.name == "cpu"


@pytest.mark.parametrize(("cuda", "mps", "device"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_best_device_is_taken(monkeypatch, cuda: bool, mps: bool, device: str) -> None:
    monkeypatch.delenv("LVM_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert profile.device == torch.device(device)


def test_the_device_can_be_chosen(monkeypatch) -> None:
    monkeypatch.setenv("LVM_DEVICE", "meta")
    assert profile.device == torch.device("meta")
    monkeypatch.setenv("LVM_DEVICE", "abacus")
    with pytest.raises(ValueError, match="LVM_DEVICE is 'abacus'"):
        profile.device  # noqa: B018


def test_a_wrong_profile_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("LVM_PROFILE", "fast")
    with pytest.raises(ValueError, match="LVM_PROFILE is 'fast'; set it to one of smoke, cpu, full"):
        sizes()


def test_uneven_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="images in some profiles only"):
        profile(smoke={"epochs": 1, "images": 9}, cpu={"epochs": 8}, full={"epochs": 50})
    with pytest.raises(ValueError, match="was given smoke, cpu; give it smoke, cpu, full"):
        profile(smoke={}, cpu={})


def test_seed_all_repeats_every_stream() -> None:
    def drawn():
        generator = seed_all(7)
        return random.random(), numpy.random.rand(), torch.rand(1).item(), torch.rand(1, generator=generator).item()

    assert drawn() == drawn()


def test_setup_says_on_what_it_runs(monkeypatch, capsys) -> None:
    monkeypatch.setenv("LVM_PROFILE", "smoke")
    setup()
    printed = capsys.readouterr().out
    assert printed.startswith("profile smoke · device ")
    assert f"torch {torch.__version__}" in printed
