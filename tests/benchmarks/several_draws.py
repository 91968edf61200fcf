"""Images per second of an estimator with several draws an image: all in one call, or one after another.

    python -m tests.benchmarks.several_draws --threads 1 --draws 1 5 20 50

A model of lvmlib.models with 64 bits and feed-forward networks of width 256, binarised Fashion-MNIST, training steps
(gradient and RMSprop) with the plain score-function estimator. Three ways take turns in one process, so that whatever
else the machine does hits all of them:

    one call              q.sample((S,)), decoded in one pass
    loop over draws       S times q.sample(), each decoded by itself
    loop over images      each draw of each image by itself, as a model without batch axes would have to

On a busy machine set `OMP_WAIT_POLICY=passive`, or spinning threads are what is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import perf_counter

import torch
from torch import Tensor
from torch import distributions as td

from lvmlib import models
from lvmlib.data import load
from lvmlib.profile import seed_all
from tests.benchmarks.training_loop import spread

BATCH = 64
LATENT = 64
SHAPE = (1, 28, 28)

Model = models.LatentVariableModel
Surrogate = Callable[[Model, Tensor, int], Tensor]


def of_draws(model: Model, q: td.Distribution, x: Tensor, z: Tensor) -> Tensor:
    """Its gradient estimates that of the ELBO, in nats; one value a draw."""
    log_q, log_joint = q.log_prob(z), model.log_joint(x, z)
    return (log_joint - log_q).detach() * log_q + log_joint


def one_call(model: Model, x: Tensor, draws: int) -> Tensor:
    q = model.posterior(x)
    return of_draws(model, q, x, q.sample((draws,))).mean()


def loop_over_draws(model: Model, x: Tensor, draws: int) -> Tensor:
    q = model.posterior(x)
    total = sum(of_draws(model, q, x, q.sample()).mean() for _ in range(draws))
    return torch.as_tensor(total) / draws


def loop_over_images(model: Model, x: Tensor, draws: int) -> Tensor:
    return torch.stack([loop_over_draws(model, image, draws) for image in x]).mean()


WAYS: dict[str, Surrogate] = {
    "one call": one_call,
    "loop over draws": loop_over_draws,
    "loop over images": loop_over_images,
}


def compare(images: Tensor, draws: int, repeats: int) -> dict[str, list[float]]:
    """Images per second of each way, one number a repeat, after one step each that is not counted."""
    seed_all(0)
    model = models.LatentVariableModel(
        models.BitsPrior(LATENT),
        models.encoder(SHAPE, LATENT, models.Bernoulli()),
        models.decoder(LATENT, SHAPE, models.Bernoulli()),
    )
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repeats + 1):
        for name, surrogate in WAYS.items():
            began = perf_counter()
            optimizer.zero_grad()
            (-surrogate(model, images, draws)).backward()
            optimizer.step()
            speeds[name].append(len(images) / (perf_counter() - began))
    return {name: taken[1:] for name, taken in speeds.items()}


def table(speeds: dict[str, list[float]]) -> str:
    """Medians, with the least and the most in brackets; ratios are those of neighbouring steps."""
    rows = []
    for name, taken in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["one call"], taken, strict=True)]
        rows.append(f"  {name:18}{spread(taken, 0):>28}{spread(ratios, 1):>24}")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, nargs="+", default=[1, 5, 20, 50], help="codes an image")
    parser.add_argument("--batch", type=int, default=BATCH, help="images a step")
    parser.add_argument("--repeats", type=int, default=7, help="steps of each")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="torch threads")
    options = parser.parse_args(arguments)
    images = load("fashion_mnist", count=options.batch, binarised=True)[0].images
    before = torch.get_num_threads()
    try:
        for threads in options.threads:
            torch.set_num_threads(threads)
            for draws in options.draws:
                print(
                    f"{threads} thread{'s' * (threads > 1)}, batch {options.batch}, {draws} draws, {options.repeats} "
                    "repeats: images/s, times slower than one call"
                )
                print(table(compare(images, draws, options.repeats)), flush=True)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
