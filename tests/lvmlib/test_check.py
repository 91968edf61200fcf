"""What a student meets: one line, whether right or wrong, and no trace in the notebook."""

from __future__ import annotations

import random
import re
import warnings

import numpy
import pytest
import torch

from lvmlib.check import CheckFailed, check
from lvmlib.exercises import every, find
from lvmlib.grading import judge


def kl(mean, log_var):
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)


def sentence(function, name: str = "kl-divergence") -> str:
    with pytest.raises(CheckFailed) as failed:
        check(name, function)
    text = str(failed.value)
    assert "\n" not in text
    assert failed.value._render_traceback_() == [text]
    return text


def test_a_right_answer_gets_one_line(capsys) -> None:
    check("kl-divergence", kl)
    printed = capsys.readouterr()
    assert printed.out == "✓ kl_divergence: values and gradients right on 20 inputs\n"
    assert printed.err == ""


def test_a_known_mistake_is_named_however_it_is_written() -> None:
    def other_style(mean, log_var):
        return sum((mean[:, k] ** 2 + (2 * log_var[:, k]).exp() - 1) / 2 - log_var[:, k] for k in range(mean.shape[1]))

    assert sentence(other_style) == "✗ kl_divergence: log_var was read as log σ; here log_var = log σ²"


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (3, "this name holds int, not a function"),
        (lambda mean, log_var: None, "returned None; its signature promises a tensor"),
        (lambda mean, log_var: kl(mean, log_var).tolist(), "returned a list; its signature promises a tensor"),
        (lambda mean, log_var: kl(mean, log_var)[:, None], "value has shape"),
        (lambda mean, log_var: kl(mean, log_var).double(), "value is float64; it should be float32"),
        (lambda mean, log_var: kl(mean, log_var) * float("nan"), "value is nan; it should be finite"),
        (lambda mean, log_var: 1.1 * kl(mean, log_var), "value is"),
        (
            lambda mean, log_var: kl(mean.detach(), log_var),
            "the graph is cut, by detach, no_grad, numpy or a new tensor",
        ),
        (lambda mean, log_var: kl(mean, log_var) + 0 * torch.randn(()), "draws random numbers of its own"),
        (lambda mean: mean, "raised TypeError"),
    ],
)
def test_other_mistakes_get_a_sentence(function, part: str) -> None:
    assert part in sentence(function)


def test_where_one_answer_leads_to_the_next_the_first_that_is_broken_speaks() -> None:
    def parameters_only(p, gradient, v, lr, decay, eps):
        return p + lr * gradient

    told = sentence(parameters_only, "rmsprop-step")
    assert re.search(r"returned a Tensor of shape \(\d+,\); its signature promises \(p, v\)", told)
    told = sentence(lambda z, weights, means, covs: (means, weights, covs), "gmm-em-step")
    assert re.search(r"weights has shape \(\d+, \d+\); it should be \(\d+,\)", told)


def test_a_missing_solution_is_told_from_a_wrong_one() -> None:
    def stub(mean, log_var):
        raise NotImplementedError

    assert sentence(stub) == "✗ kl_divergence: not written yet; put your code where `raise NotImplementedError` stands"


def test_a_missing_method_is_told_by_the_name_of_its_class() -> None:
    class KLDivergence:
        def __new__(cls, mean, log_var):
            raise NotImplementedError

    assert "not written yet; put your code where" in sentence(KLDivergence)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_a_missing_helper_is_named() -> None:
    def reparameterize(*arguments):
        raise NotImplementedError

    def elbo(x, mean, log_var, log_likelihood, eps):
        return log_likelihood(x, reparameterize(mean, log_var, eps)).mean(0)

    assert sentence(elbo, "elbo") == "✗ elbo: needs `reparameterize`, which is not written yet"


def raising(error: BaseException):
    def function(mean, log_var):
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (lambda mean, log_var: kl(mean, log_var).to_sparse(), "an ordinary dense tensor of real numbers is wanted"),
        (lambda mean, log_var: kl(mean, log_var).to("meta"), "an ordinary dense tensor"),
        (lambda mean, log_var: kl(mean, log_var).to(torch.complex64), "an ordinary dense tensor"),
        (lambda mean, log_var: kl(mean, log_var)[:1].expand(10**12), "an ordinary dense tensor"),
        (raising(Unspeakable()), "raised Unspeakable"),
        (raising(SystemExit()), "raised SystemExit"),
        (lambda mean, log_var: torch.nn.Module()(mean), "raised NotImplementedError"),
        (lambda mean, log_var: _spoilt_for_backward(mean, log_var), "could not be differentiated: RuntimeError"),
    ],
)
def test_nothing_a_function_does_breaks_the_check(function, part: str) -> None:
    assert part in sentence(function)


def _spoilt_for_backward(mean, log_var):
    variance = log_var.exp()
    value = kl(mean, log_var) + 0 * variance.sum(-1)
    result = value + variance.square().sum(-1) * 0
    variance.data.add_(0)
    variance.mul_(1)
    return result


def test_settings_changed_by_one_question_do_not_spoil_the_next(capsys, tmp_path) -> None:
    import os
    import sys

    def meddling(mean, log_var):
        value = kl(mean, log_var)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(3)
        os.chdir(tmp_path)
        sys.setrecursionlimit(900)
        return value

    before = os.getcwd(), sys.getrecursionlimit(), torch.get_num_threads()
    check("kl-divergence", meddling)
    assert (os.getcwd(), sys.getrecursionlimit(), torch.get_num_threads()) == before
    assert torch.zeros(1).device.type == "cpu"
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_line_that_raised_is_shown() -> None:
    def broken(mean, log_var):
        return mean @ log_var

    assert "raised RuntimeError at `return mean @ log_var`" in sentence(broken)


def test_an_argument_changed_in_place_is_noticed() -> None:
    def greedy(mean, log_var):
        value = kl(mean, log_var)
        mean.data.zero_()
        return value

    assert "changed its argument `mean` in place" in sentence(greedy)


def test_an_answer_that_changes_from_call_to_call_is_noticed() -> None:
    calls = []

    def moody(mean, log_var):
        calls.append(1)
        return kl(mean, log_var) + len(calls)

    assert "gives another answer when it is called again" in sentence(moody)


def test_a_check_leaves_no_trace(capsys) -> None:
    def noisy(mean, log_var):
        warnings.warn("look here", stacklevel=1)
        torch.set_default_dtype(torch.float64)
        numpy.random.rand()
        random.random()
        return kl(mean, log_var)

    torch.manual_seed(3)
    numpy.random.seed(3)
    random.seed(3)
    expected = torch.rand(1), numpy.random.rand(), random.random()
    torch.manual_seed(3)
    numpy.random.seed(3)
    random.seed(3)
    with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
        check("kl-divergence", noisy)
        assert not torch.is_grad_enabled()
    assert (torch.rand(1), numpy.random.rand(), random.random()) == expected
    assert torch.get_default_dtype() is torch.float32
    assert not caught
    assert capsys.readouterr().err == ""


def test_an_unknown_exercise_is_refused_with_a_list() -> None:
    with pytest.raises(KeyError, match="there is no exercise 'kl'; there are .*kl-divergence"):
        check("kl", kl)


def test_the_judge_agrees_and_asks_on_seeds_of_its_own() -> None:
    judge("kl-divergence", kl)
    seen = set()

    def knows_the_public_answers(mean, log_var):
        seen.add(float(mean.sum()))
        return kl(mean, log_var)

    check("kl-divergence", knows_the_public_answers)
    public = set(seen)
    seen.clear()
    judge("kl-divergence", knows_the_public_answers)
    assert len(seen - public) > len(seen) / 2


def test_the_judge_refuses_with_a_sentence() -> None:
    with pytest.raises(CheckFailed, match="log_var was read as log σ"):
        judge("kl-divergence", lambda mean, log_var: kl(mean, 2 * log_var))
    with pytest.raises(CheckFailed, match="not written yet"):
        judge("kl-divergence", _stub)


def _stub(*arguments):
    raise NotImplementedError


def test_the_key_carries_no_right_answer_twice_and_reads_back_exactly() -> None:
    from lvmlib.exercises.key import PUBLIC_SEEDS, read
    from lvmlib.grading.judges import find as find_judge

    for exercise in every():
        if exercise.law:
            continue
        key, found = read(exercise.key, exercise.name), find_judge(exercise.name)
        for seed in PUBLIC_SEEDS:
            expected = found.expected(seed)
            assert key.right[seed].questions == expected.questions
            for entry, tensor in expected.tensors.items():
                # steps of training are computed in float32, and their last digit is the machine's
                rtol, atol = (tolerance / 10 for tolerance in expected.tolerances[entry])
                assert torch.allclose(key.right[seed].tensors[entry], tensor, rtol=rtol, atol=atol, equal_nan=True)
            assert set(key.mistakes[seed]) == set(found.wrong)


def test_a_missing_key_says_to_install_again(tmp_path) -> None:
    from lvmlib.exercises.key import read

    with pytest.raises(RuntimeError, match="install lvmlib again"):
        read(tmp_path / "none.json", find("kl-divergence").name)
