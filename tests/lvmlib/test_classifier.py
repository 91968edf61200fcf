"""The ready digit classifier knows digits and says so when it is given something else."""

from __future__ import annotations

from importlib.resources import files

import pytest
import torch
from safetensors import safe_open

from lvmlib import load
from lvmlib.classifier import load_classifier

WEIGHTS = files("lvmlib") / "weights" / "classifier-mnist.safetensors"


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("mnist").cpu()


@pytest.fixture(scope="module")
def digits():
    _, test = load("mnist")
    return test.images.cpu(), test.labels.cpu()


def test_it_reads_the_embedded_test_digits_and_is_sure_of_most(classifier, digits):
    images, labels = digits
    confidence, guess = classifier(images).softmax(1).max(1)
    assert (guess == labels).double().mean() > 0.98
    assert (confidence > 0.9).double().mean() > 0.95
    assert (guess == labels)[confidence > 0.9].double().mean() > 0.99


def test_it_is_not_sure_of_noise(classifier):
    noise = torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert (classifier(noise).softmax(1).amax(1) > 0.9).double().mean() < 0.1


def test_logits_are_a_linear_map_of_the_features(classifier, digits):
    images = digits[0][:3]
    features = classifier.features(images)
    assert features.shape == (3, 64) and features.dtype == torch.float32
    torch.testing.assert_close(classifier(images), features @ classifier.output.weight.T + classifier.output.bias)


def test_it_is_frozen_but_lets_gradients_through(classifier, digits):
    images = digits[0][:1].clone().requires_grad_()
    classifier(images).sum().backward()
    assert not classifier.training
    assert not any(parameter.requires_grad for parameter in classifier.parameters())
    assert images.grad is not None and images.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(1, 28, 28), (4, 784), (4, 3, 28, 28), (4, 1, 32, 32)])
def test_other_shapes_are_refused_in_one_sentence(classifier, shape):
    with pytest.raises(ValueError, match=r"takes images of shape \(batch, 1, 28, 28\), and these have shape \("):
        classifier(torch.zeros(shape))


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="There is no classifier 'cifar'; there is 'mnist'."):
        load_classifier("cifar")


def test_the_weights_are_small_and_carry_their_accuracy():
    assert len(WEIGHTS.read_bytes()) < 300_000
    with safe_open(str(WEIGHTS), "pt") as stored:
        assert float(stored.metadata()["test_accuracy"]) >= 0.985
        assert {stored.get_tensor(name).dtype for name in stored.keys()} == {torch.float16}  # noqa: SIM118
