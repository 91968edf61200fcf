"""Who decides in lab 01: oracles, right answers in other styles, and wrong ones under the sentence that names them."""

from __future__ import annotations

import copy
import math
from functools import cache, partial

import numpy
import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.nn import functional as F

from lvmlib.grading.judges import oracle


def by_sigmoid(log_p: Tensor, log_q: Tensor) -> Tensor:
    return torch.logit(torch.sigmoid(log_p - log_q))


def by_probability(log_p: Tensor, log_q: Tensor) -> Tensor:
    d = torch.softmax(torch.stack([log_p, log_q]), 0)[0]
    return d.log() - torch.log1p(-d)


def by_maximisation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Newton's method on the integrand p log D + q log(1 − D) of the game, in the logit."""
    highest = torch.maximum(log_p, log_q)
    p, q = (log_p - highest).exp(), (log_q - highest).exp()
    logit = torch.zeros_like(p)
    for _ in range(200):
        d = torch.sigmoid(logit)
        logit = logit + ((p * (1 - d) - q * d) / ((p + q) * d * (1 - d))).clamp(-1, 1)
    return logit


def by_bisection(log_p: Tensor, log_q: Tensor) -> Tensor:
    low, high = torch.full_like(log_p, -2000), torch.full_like(log_p, 2000)
    for _ in range(60):
        middle = (low + high) / 2
        rising = log_p + F.logsigmoid(-middle) > log_q + F.logsigmoid(middle)
        low, high = torch.where(rising, middle, low), torch.where(rising, high, middle)
    return (low + high) / 2


def by_product(log_p: Tensor, log_q: Tensor) -> Tensor:
    log_p -= log_q
    return log_p


oracle(
    "optimal-logit",
    reference=lambda log_p, log_q: log_p - log_q,
    right={
        "through sigmoid": by_sigmoid,
        "through a probability": by_probability,
        "through direct maximisation": by_maximisation,
        "through bisection of the slope": by_bisection,
        "−log(1/D − 1)": lambda log_p, log_q: -torch.log(1 / torch.sigmoid(log_p - log_q) - 1),
        "point by point": lambda log_p, log_q: torch.stack([a - b for a, b in zip(log_p, log_q, strict=True)]),
    },
    wrong={
        "this is p/q, its logarithm is wanted": lambda log_p, log_q: (log_p - log_q).exp(),
        "this is D, a probability; its logit is wanted": lambda log_p, log_q: torch.sigmoid(log_p - log_q),
        "this is log D, not the logit of D": lambda log_p, log_q: F.logsigmoid(log_p - log_q),
        "the sign is wrong: D should be near 1 where the data are": lambda log_p, log_q: log_q - log_p,
        "log densities were divided; their ratio is a difference of logarithms": lambda log_p, log_q: log_p / log_q,
        "log densities were taken for densities": lambda log_p, log_q: log_p / (log_p + log_q),
        "log densities were taken for densities, and a logarithm was taken of them": lambda log_p, log_q: (
            log_p.log() - log_q.log()
        ),
        "log densities were added": lambda log_p, log_q: log_p + log_q,
        "log q is missing; D compares p with q": lambda log_p, log_q: log_p.clone(),
        "the densities themselves were formed, and exp under- or overflows; stay with the logarithms": (
            lambda log_p, log_q: torch.log(log_p.exp() / log_q.exp())
        ),
        "the densities themselves were formed for p/(p + q), and exp under- or overflows": lambda log_p, log_q: (
            torch.logit(log_p.exp() / (log_p.exp() + log_q.exp()))
        ),
        "a small constant was added to the densities, and it wins where they are small": lambda log_p, log_q: (
            torch.log(log_p.exp() + 1e-8) - torch.log(log_q.exp() + 1e-8)
        ),
        "summed over the points; one logit for each is wanted": lambda log_p, log_q: (log_p - log_q).sum(),
        "averaged over the points; one logit for each is wanted": lambda log_p, log_q: (log_p - log_q).mean(),
        "the factor ½ is too much": lambda log_p, log_q: (log_p - log_q) / 2,
        "changed its argument `log_p` in place": by_product,
        "the logits were rounded": lambda log_p, log_q: torch.round(log_p - log_q, decimals=3),
    },
)


def entropy(mass: Tensor) -> Tensor:
    return torch.special.entr(mass).sum()


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum()


def jsd(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    return 0.5 * kl(p, middle) + 0.5 * kl(q, middle)


def value_by_loop(p: Tensor, q: Tensor) -> Tensor:
    value = torch.zeros((), dtype=p.dtype)
    for a, b in zip(p, q, strict=True):
        if a > 0:
            value = value + a * torch.log(a / (a + b))
        if b > 0:
            value = value + b * torch.log(b / (a + b))
    return value


def value_by_where(p: Tensor, q: Tensor) -> Tensor:
    terms = (mass * torch.log(mass / (p + q)) for mass in (p, q))
    return sum(torch.where(mass > 0, term, 0.0).sum() for mass, term in zip((p, q), terms, strict=True))


def value_by_mask(p: Tensor, q: Tensor) -> Tensor:
    real, fake = p > 0, q > 0
    return (p[real] * (p[real] / (p + q)[real]).log()).sum() + (q[fake] * (q[fake] / (p + q)[fake]).log()).sum()


def value_by_loss(p: Tensor, q: Tensor) -> Tensor:
    logits = torch.nan_to_num(p.log() - q.log(), nan=0.0, posinf=1e4, neginf=-1e4)
    return (p * F.logsigmoid(logits) + q * F.logsigmoid(-logits)).sum()


def value_by_maximisation(p: Tensor, q: Tensor) -> Tensor:
    """Newton's method in the logits, at most one unit a step."""
    logits = torch.zeros_like(p)
    for _ in range(200):
        d = torch.sigmoid(logits)
        slope, bend = p * (1 - d) - q * d, (p + q) * d * (1 - d)
        logits = logits + torch.where(bend > 1e-30, slope / bend, 0.0).clamp(-1, 1)
    return (p * F.logsigmoid(logits) + q * F.logsigmoid(-logits)).sum()


oracle(
    "gan-value",
    reference=lambda p, q: entropy(p + q) - entropy(p) - entropy(q),
    right={
        "Jensen–Shannon divergence": lambda p, q: 2 * jsd(p, q) - math.log(4),
        "xlogy": lambda p, q: (
            torch.special.xlogy(p, p / (p + q).clamp_min(1e-30)) + torch.special.xlogy(q, q / (p + q).clamp_min(1e-30))
        ).sum(),
        "a loop with ifs": value_by_loop,
        "torch.where": value_by_where,
        "masks": value_by_mask,
        "outcomes where only one of p and q is above 0 contribute nothing": lambda p, q: value_by_mask(
            p[(p > 0) & (q > 0)], q[(p > 0) & (q > 0)]
        ),
        "a small constant against log 0": lambda p, q: (
            p * torch.log(p / (p + q + 1e-12) + 1e-12) + q * torch.log(q / (p + q + 1e-12) + 1e-12)
        ).sum(),
        "through the logits of D": value_by_loss,
        "through direct maximisation": value_by_maximisation,
        "nan_to_num": lambda p, q: (
            torch.nan_to_num(p * torch.log(p / (p + q))) + torch.nan_to_num(q * torch.log(q / (p + q)))
        ).sum(),
        "F.kl_div": lambda p, q: (
            (
                F.kl_div(((p + q) / 2).log(), p, reduction="sum") + F.kl_div(((p + q) / 2).log(), q, reduction="sum")
                if (p + q > 0).all()
                else value_by_mask(p, q) + math.log(4)
            )
            - math.log(4)
        ),
    },
    wrong={
        "0·log 0 became NaN; an outcome without mass contributes nothing": lambda p, q: (
            p * torch.log(p / (p + q)) + q * torch.log(q / (p + q))
        ).sum(),
        "NaN where p and q are both 0; such an outcome contributes nothing": lambda p, q: (
            torch.special.xlogy(p, p / (p + q)) + torch.special.xlogy(q, q / (p + q))
        ).sum(),
        "the two KL divergences were counted twice: JSD has a factor ½ before each": lambda p, q: (
            4 * jsd(p, q) - math.log(4)
        ),
        "this is JSD − log 4; the value is 2·JSD − log 4": lambda p, q: jsd(p, q) - math.log(4),
        "this is the JSD; the value is 2·JSD − log 4": lambda p, q: jsd(p, q),
        "this is 2·JSD; −log 4 is missing": lambda p, q: 2 * jsd(p, q),
        "log 4 was added; subtract it": lambda p, q: 2 * jsd(p, q) + math.log(4),
        "log 2 was subtracted where log 4 belongs": lambda p, q: 2 * jsd(p, q) - math.log(2),
        "the sign is wrong; the value is never above 0": lambda p, q: math.log(4) - 2 * jsd(p, q),
        "only the data's term is there; the fakes have one too": lambda p, q: torch.special.xlogy(
            p, p / (p + q).clamp_min(1e-30)
        ).sum(),
        "both terms have p/(p + q); on fakes it is log(1 − D)": lambda p, q: torch.special.xlogy(
            p + q, p / (p + q).clamp_min(1e-30)
        ).sum(),
        "this is the value at D = ½; the optimal D depends on p and q": lambda p, q: (
            -math.log(2) * (p.sum() + q.sum()) + 0 * q.sum()
        ),
        "averaged over the outcomes; expectations weight them by p and by q": lambda p, q: (
            (2 * jsd(p, q) - math.log(4)) / len(p)
        ),
        "each outcome was weighted alike; expectations weight them by p and by q": lambda p, q: (
            (p / (p + q)).log() + (q / (p + q)).log()
        ).mean(),
        "logarithms to base 2; the value is in nats": lambda p, q: (2 * jsd(p, q) - math.log(4)) / math.log(2),
        "this is KL(p ‖ q), and so infinite where q is 0": lambda p, q: kl(p, q),
        "the divergences are from p + q; JSD takes those from (p + q)/2": lambda p, q: (
            0.5 * value_by_mask(p, q) - math.log(4)
        ),
        "the optimal D is p/(p + q), not p/q": lambda p, q: (
            torch.special.xlogy(p, p / q) + torch.special.xlogy(q, (1 - p / q).abs())
        ).sum(),
        "left one value for each outcome; sum over them": lambda p, q: (
            torch.special.entr(p + q) - torch.special.entr(p) - torch.special.entr(q)
        ),
        "p and q were clipped away from 0, and that is visible": lambda p, q: value_by_mask(
            p.clamp(1e-3), q.clamp(1e-3)
        ),
        "returned a float; its signature promises a tensor": lambda p, q: (2 * jsd(p, q) - math.log(4)).item(),
    },
)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def by_hand(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    def softplus(l: Tensor) -> Tensor:  # noqa: E741
        return l.clamp_min(0) + torch.log1p(torch.exp(-l.abs()))

    return softplus(-real_logits).sum() / len(real_logits) + softplus(fake_logits).sum() / len(fake_logits)


def hinge(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def bce_of_sigmoid(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy(torch.sigmoid(logits), torch.full_like(logits, label))


def joined_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    labels = torch.cat([torch.ones_like(real_logits), torch.zeros_like(fake_logits)])
    return F.binary_cross_entropy_with_logits(torch.cat([real_logits, fake_logits]), labels)


oracle(
    "discriminator-loss",
    reference=lambda real_logits, fake_logits: (
        torch.logaddexp(-real_logits, torch.zeros_like(real_logits)).mean()
        + torch.logaddexp(fake_logits, torch.zeros_like(fake_logits)).mean()
    ),
    right={
        "softplus": discriminator_loss,
        "two log-sigmoids": lambda real_logits, fake_logits: (
            -F.logsigmoid(real_logits).mean() - F.logsigmoid(-fake_logits).mean()
        ),
        "binary cross-entropy with logits": lambda real_logits, fake_logits: bce(real_logits, 1) + bce(fake_logits, 0),
        "nn.BCEWithLogitsLoss": lambda real_logits, fake_logits: (
            nn.BCEWithLogitsLoss()(real_logits, torch.ones(len(real_logits), dtype=real_logits.dtype))
            + nn.BCEWithLogitsLoss()(fake_logits, torch.zeros(len(fake_logits), dtype=real_logits.dtype))
        ),
        "a distribution": lambda real_logits, fake_logits: (
            -(
                td.Bernoulli(logits=real_logits).log_prob(torch.ones_like(real_logits)).mean()
                + td.Bernoulli(logits=fake_logits).log_prob(torch.zeros_like(fake_logits)).mean()
            )
        ),
        "log(1 + exp) by hand, without overflow": by_hand,
        "cross-entropy of two classes": lambda real_logits, fake_logits: (
            F.cross_entropy(
                torch.stack([torch.zeros_like(real_logits), real_logits], 1),
                torch.ones(len(real_logits), dtype=torch.long),
            )
            + F.cross_entropy(
                torch.stack([torch.zeros_like(fake_logits), fake_logits], 1),
                torch.zeros(len(fake_logits), dtype=torch.long),
            )
        ),
    },
    wrong={
        "the labels are swapped: real logits should rise, fake ones fall": lambda real_logits, fake_logits: (
            discriminator_loss(-real_logits, -fake_logits)
        ),
        "the sign is wrong: this is V, and a loss is minimised": lambda real_logits, fake_logits: (
            -discriminator_loss(real_logits, fake_logits)
        ),
        "halved; the loss is the sum of both means": lambda real_logits, fake_logits: (
            discriminator_loss(real_logits, fake_logits) / 2
        ),
        "one mean over real and fake logits together; each has a mean of its own": joined_loss,
        "twice the mean over real and fake logits together; each has a mean of its own": (
            lambda real_logits, fake_logits: 2 * joined_loss(real_logits, fake_logits)
        ),
        "summed over the batch; average over it": lambda real_logits, fake_logits: (
            F.softplus(-real_logits).sum() + F.softplus(fake_logits).sum()
        ),
        "both were divided by the number of real logits; the fakes have a number of their own": (
            lambda real_logits, fake_logits: (
                (F.softplus(-real_logits).sum() + F.softplus(fake_logits).sum()) / len(real_logits)
            )
        ),
        "the fakes are missing": lambda real_logits, fake_logits: F.softplus(-real_logits).mean(),
        "the real ones are missing": lambda real_logits, fake_logits: F.softplus(fake_logits).mean(),
        "softplus was cut to a straight line too early; leave its `threshold`": lambda real_logits, fake_logits: (
            F.softplus(-real_logits, threshold=5).mean() + F.softplus(fake_logits, threshold=5).mean()
        ),
        "the fakes were given label 1, too; theirs is 0": lambda real_logits, fake_logits: (
            bce(real_logits, 1) + bce(fake_logits, 1)
        ),
        "the two terms were subtracted; they add": lambda real_logits, fake_logits: (
            F.softplus(-real_logits).mean() - F.softplus(fake_logits).mean()
        ),
        "the logits went through a sigmoid and then a log, and confident mistakes lose their gradient": (
            lambda real_logits, fake_logits: bce_of_sigmoid(real_logits, 1) + bce_of_sigmoid(fake_logits, 0)
        ),
        "log(sigmoid) becomes infinite for confident logits": lambda real_logits, fake_logits: (
            -torch.log(torch.sigmoid(real_logits)).mean() - torch.log(1 - torch.sigmoid(fake_logits)).mean()
        ),
        "a small constant inside the logarithm stops learning from confident mistakes": (
            lambda real_logits, fake_logits: (
                -torch.log(torch.sigmoid(real_logits) + 1e-8).mean()
                - torch.log(1 - torch.sigmoid(fake_logits) + 1e-8).mean()
            )
        ),
        "exp(logits) overflows; use a function that does not": lambda real_logits, fake_logits: (
            torch.log(1 + torch.exp(-real_logits)).mean() + torch.log(1 + torch.exp(fake_logits)).mean()
        ),
        "a sigmoid was taken before a loss that expects logits": lambda real_logits, fake_logits: discriminator_loss(
            torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
        ),
        "the logits were clamped; they are right up to ±1000": lambda real_logits, fake_logits: discriminator_loss(
            real_logits.clamp(-15, 15), fake_logits.clamp(-15, 15)
        ),
        "the label of the real ones was smoothed to 0.9": lambda real_logits, fake_logits: (
            bce(real_logits, 0.9) + bce(fake_logits, 0)
        ),
        "this is a critic's loss, a difference of means without logarithms": lambda real_logits, fake_logits: (
            fake_logits.mean() - real_logits.mean()
        ),
        "this is the hinge loss": hinge,
        "squared errors are another GAN's loss": lambda real_logits, fake_logits: (
            (real_logits - 1).square().mean() + fake_logits.square().mean()
        ),
        "the means were taken of the logits, and the logarithm afterwards": lambda real_logits, fake_logits: (
            F.softplus(-real_logits.mean()) + F.softplus(fake_logits.mean())
        ),
        "no gradient reaches the fake logits; detach the images in the step, not the logits": (
            lambda real_logits, fake_logits: discriminator_loss(real_logits, fake_logits.detach())
        ),
        "no gradient reaches the real logits": lambda real_logits, fake_logits: discriminator_loss(
            real_logits.detach(), fake_logits
        ),
    },
)


def generator_loss(fake_logits: Tensor, saturating: bool) -> Tensor:
    return F.logsigmoid(-fake_logits).mean() if saturating else -F.logsigmoid(fake_logits).mean()


def by_labels(fake_logits: Tensor, saturating: bool) -> Tensor:
    return -bce(fake_logits, 0) if saturating else bce(fake_logits, 1)


oracle(
    "generator-loss",
    reference=lambda fake_logits, saturating: (
        (1 - 2 * saturating)
        * torch.logaddexp((2 * saturating - 1) * fake_logits, torch.zeros_like(fake_logits)).sum()
        / len(fake_logits)
    ),
    right={
        "two log-sigmoids": generator_loss,
        "binary cross-entropy with logits": by_labels,
        "softplus": lambda fake_logits, saturating: (
            -F.softplus(fake_logits).mean() if saturating else F.softplus(-fake_logits).mean()
        ),
        "one through the other: log(1 − D) = log D − l": lambda fake_logits, saturating: (
            (F.logsigmoid(fake_logits) - fake_logits).mean() if saturating else -F.logsigmoid(fake_logits).mean()
        ),
        "a distribution": lambda fake_logits, saturating: (
            td.Bernoulli(logits=fake_logits).log_prob(torch.full_like(fake_logits, float(not saturating))).mean()
            * (1 if saturating else -1)
        ),
    },
    wrong={
        "the two modes are swapped": lambda fake_logits, saturating: generator_loss(fake_logits, not saturating),
        "the sign is wrong: both losses fall when the fakes' logits rise": lambda fake_logits, saturating: (
            -generator_loss(fake_logits, saturating)
        ),
        "the sign of the saturating loss is wrong; it falls when the fakes' logits rise": (
            lambda fake_logits, saturating: (1 - 2 * saturating) * generator_loss(fake_logits, saturating)
        ),
        "the sign of the non-saturating loss is wrong": lambda fake_logits, saturating: (
            (2 * saturating - 1) * generator_loss(fake_logits, saturating)
        ),
        "the labels are those of the discriminator: with them the generator learns to be found out": (
            lambda fake_logits, saturating: -bce(fake_logits, 1) if saturating else bce(fake_logits, 0)
        ),
        "`saturating` was ignored; this is always the non-saturating loss": lambda fake_logits, saturating: (
            generator_loss(fake_logits, False)
        ),
        "`saturating` was ignored; this is always the saturating loss": lambda fake_logits, saturating: generator_loss(
            fake_logits, True
        ),
        "summed over the batch; average over it": lambda fake_logits, saturating: (
            generator_loss(fake_logits, saturating) * len(fake_logits)
        ),
        "left one value for each logit; average over them": lambda fake_logits, saturating: (
            F.logsigmoid(-fake_logits) if saturating else -F.logsigmoid(fake_logits)
        ),
        "halved; nothing is": lambda fake_logits, saturating: generator_loss(fake_logits, saturating) / 2,
        "the logits went through a sigmoid and then a log, and lose their gradient": lambda fake_logits, saturating: (
            -bce_of_sigmoid(fake_logits, 0) if saturating else bce_of_sigmoid(fake_logits, 1)
        ),
        "log(sigmoid) becomes infinite for confident logits": lambda fake_logits, saturating: (
            torch.log(1 - torch.sigmoid(fake_logits)).mean()
            if saturating
            else -torch.log(torch.sigmoid(fake_logits)).mean()
        ),
        "a small constant inside the logarithm stops learning from confident mistakes": (
            lambda fake_logits, saturating: (
                torch.log(1 - torch.sigmoid(fake_logits) + 1e-8).mean()
                if saturating
                else -torch.log(torch.sigmoid(fake_logits) + 1e-8).mean()
            )
        ),
        "a sigmoid was taken before a loss that expects logits": lambda fake_logits, saturating: generator_loss(
            torch.sigmoid(fake_logits), saturating
        ),
        "exp(logits) overflows; use a function that does not": lambda fake_logits, saturating: (
            -torch.log(1 + torch.exp(fake_logits)).mean()
            if saturating
            else torch.log(1 + torch.exp(-fake_logits)).mean()
        ),
        "the logits were clamped; they are right up to ±1000": lambda fake_logits, saturating: generator_loss(
            fake_logits.clamp(-15, 15), saturating
        ),
        "this is a critic's loss, without a logarithm": lambda fake_logits, saturating: -fake_logits.mean(),
        "log(1 − D) is missing its logarithm": lambda fake_logits, saturating: (
            (1 - torch.sigmoid(fake_logits)).mean() if saturating else generator_loss(fake_logits, False)
        ),
        "no gradient passes: the logits were detached": lambda fake_logits, saturating: generator_loss(
            fake_logits.detach(), saturating
        ),
    },
)


def minimise(optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def fakes(generator: nn.Module, z: Tensor) -> Tensor:
    with torch.no_grad():
        return generator(z)


def discriminator_step(discriminator, generator, optimizer, x, z):
    return minimise(optimizer, discriminator_loss(discriminator(x), discriminator(fakes(generator, z))))


def step_on_grad(discriminator, generator, optimizer, x, z):
    parameters = list(discriminator.parameters())
    loss = discriminator_loss(discriminator(x), discriminator(generator(z).detach()))
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()
    return loss.detach()


def two_backwards(discriminator, generator, optimizer, x, z):
    optimizer.zero_grad(set_to_none=False)
    real = F.softplus(-discriminator(x)).mean()
    real.backward()
    fake = F.softplus(discriminator(generator(z).detach())).mean()
    fake.backward()
    optimizer.step()
    return real + fake


def joint_forward(discriminator, generator, optimizer, x, z):
    discriminator.zero_grad()
    logits = discriminator(torch.cat([x, fakes(generator, z)]))
    loss = discriminator_loss(*logits.split([len(x), len(z)]))
    loss.backward()
    optimizer.step()
    return loss.clone().detach()


def frozen_generator(discriminator, generator, optimizer, x, z):
    generator.requires_grad_(False)
    loss = discriminator_step(discriminator, generator, optimizer, x, z)
    generator.requires_grad_(True)
    return loss


def closure_step(discriminator, generator, optimizer, x, z):
    def closure():
        optimizer.zero_grad()
        loss = discriminator_loss(discriminator(x), discriminator(generator(z).data))
        loss.backward()
        return loss

    return optimizer.step(closure).detach()


def cleaned_afterwards(discriminator, generator, optimizer, x, z):
    """The fakes are attached, and what reaches the generator is thrown away."""
    loss = minimise(optimizer, discriminator_loss(discriminator(x), discriminator(generator(z))))
    generator.zero_grad()
    return loss.detach()


def without_clearing(optimizer, loss):
    loss.backward()
    optimizer.step()
    return loss


def cleared_at_the_end(optimizer, loss):
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss


def cleared_between(optimizer, loss):
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss


def ascent(optimizer, loss):
    minimise(optimizer, -loss)
    return loss


def without_step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    return loss


def two_steps(discriminator, generator, optimizer, x, z):
    real = minimise(optimizer, F.softplus(-discriminator(x)).mean())
    return real + minimise(optimizer, F.softplus(discriminator(fakes(generator, z))).mean())


def one_half_returned(which):
    """The right turn, and the loss of real ones (0) or of fakes (1) returned alone."""

    def step(discriminator, generator, optimizer, x, z):
        fake = fakes(generator, z)
        halves = F.softplus(-discriminator(x)).mean(), F.softplus(discriminator(fake)).mean()
        minimise(optimizer, sum(halves))
        return halves[which].detach()

    return step


def cleared_between_the_halves(discriminator, generator, optimizer, x, z):
    real = F.softplus(-discriminator(x)).mean()
    real.backward()
    return real + minimise(optimizer, F.softplus(discriminator(fakes(generator, z))).mean())


def own_noise(discriminator, generator, optimizer, x, z):
    return discriminator_step(discriminator, generator, optimizer, x, torch.randn_like(z))


def generator_moved(discriminator, generator, optimizer, x, z):
    loss = discriminator_step(discriminator, generator, optimizer, x, z)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.sub_(1e-3)
    return loss


def own_optimizer(discriminator, generator, optimizer, x, z):
    return discriminator_step(discriminator, generator, torch.optim.Adam(discriminator.parameters(), lr=2e-4), x, z)


def loss_afterwards(discriminator, generator, optimizer, x, z):
    discriminator_step(discriminator, generator, optimizer, x, z)
    return discriminator_loss(discriminator(x), discriminator(fakes(generator, z))).detach()


def generator_in_eval_mode(discriminator, generator, optimizer, x, z):
    generator.eval()
    fake = fakes(generator, z)
    generator.train()
    return minimise(optimizer, discriminator_loss(discriminator(x), discriminator(fake)))


def left_in_eval_mode(discriminator, generator, optimizer, x, z):
    generator.eval()
    return discriminator_step(discriminator, generator, optimizer, x, z)


def generator_left_frozen(discriminator, generator, optimizer, x, z):
    generator.requires_grad_(False)
    return discriminator_step(discriminator, generator, optimizer, x, z)


def with_loss(loss, *, minimised=minimise):
    """The step with another loss of (real logits, fake logits), or another way to minimise it."""

    def step(discriminator, generator, optimizer, x, z):
        value = loss(discriminator(x), discriminator(fakes(generator, z)))
        return minimised(optimizer, value)

    return step


CLEAR = "gradients that were there already were added to; clear them before backward()"
CLEAR_LATE = "gradients were cleared after the step, too late for those that were there before; clear them first"
STILL = "nothing moves: step() is missing, or gradients were cleared before it, or none reach the weights (detach?)"


def gradients_left_off(discriminator, generator, optimizer, x: Tensor, z: Tensor) -> Tensor:
    loss = discriminator_step(discriminator, generator, optimizer, x, z)
    torch.set_grad_enabled(False)
    return loss


oracle(
    "discriminator-step",
    reference=step_on_grad,
    right={
        "fakes without a graph": discriminator_step,
        "two backwards": two_backwards,
        "one forward of both": joint_forward,
        "the generator frozen for a while": frozen_generator,
        "a closure": closure_step,
        "gradients of the generator thrown away": cleaned_afterwards,
    },
    wrong={
        CLEAR: with_loss(discriminator_loss, minimised=without_clearing),
        CLEAR_LATE: with_loss(discriminator_loss, minimised=cleared_at_the_end),
        STILL: with_loss(discriminator_loss, minimised=cleared_between),
        "the fakes were not detached": lambda discriminator, generator, optimizer, x, z: minimise(
            optimizer, discriminator_loss(discriminator(x), discriminator(generator(z)))
        ),
        "a step after each half; the turn is one step on the whole loss": two_steps,
        "only the fakes count: gradients were cleared again after the real half": cleared_between_the_halves,
        "nothing moves: step() is missing": with_loss(discriminator_loss, minimised=without_step),
        "nothing moves": lambda d, g, optimizer, x, z: (
            d.zero_grad(),
            optimizer.step(),
            discriminator_loss(d(x), d(fakes(g, z))).detach(),
        )[-1],
        "the labels are swapped, or real and fake logits: real ones should be called real": with_loss(
            lambda real, fake: discriminator_loss(-real, -fake)
        ),
        "or real and fake logits": with_loss(lambda real, fake: discriminator_loss(fake, real)),
        "the loss grows: this step goes uphill": with_loss(discriminator_loss, minimised=ascent),
        "the fakes are missing": with_loss(lambda real, fake: F.softplus(-real).mean()),
        "the logits went through a sigmoid and then a log; take discriminator_loss": with_loss(
            lambda real, fake: bce_of_sigmoid(real, 1) + bce_of_sigmoid(fake, 0)
        ),
        "the real ones are missing": with_loss(lambda real, fake: F.softplus(fake).mean()),
        "this is the generator's loss; the discriminator has its own": with_loss(
            lambda real, fake: F.softplus(-fake).mean()
        ),
        "only the loss of the real ones was returned; return the whole": one_half_returned(0),
        "only the loss of the fakes was returned; return the whole": one_half_returned(1),
        "half of the loss; take discriminator_loss as it is": with_loss(
            lambda real, fake: discriminator_loss(real, fake) / 2
        ),
        "one mean over real and fake logits together; each has a mean of its own": with_loss(joined_loss),
        "this is a critic's loss": with_loss(lambda real, fake: fake.mean() - real.mean()),
        "only as many codes as images were used, or the other way round": lambda d, g, optimizer, x, z: (
            discriminator_step(d, g, optimizer, x[: len(z)], z[: len(x)])
        ),
        "draws random numbers of its own": own_noise,
        "moved the generator": generator_moved,
        "the optimizer that was given was not used": own_optimizer,
        "this is the loss after the step; return the one before": loss_afterwards,
        "two steps were taken; one is a turn": lambda *arguments: (
            discriminator_step(*arguments),
            discriminator_step(*arguments),
        )[0],
        "the generator was run in eval mode; leave it in the mode that it is in": generator_in_eval_mode,
        "left the generator in another mode": left_in_eval_mode,
        "left gradients switched off for all that follows": gradients_left_off,
        "left the generator frozen": generator_left_frozen,
        "returned a float; its signature promises a tensor": lambda *arguments: discriminator_step(*arguments).item(),
        "returned None; its signature promises a tensor": lambda *arguments: (discriminator_step(*arguments), None)[1],
        "the gradients were clipped": with_loss(
            discriminator_loss,
            minimised=lambda optimizer, loss: (
                optimizer.zero_grad(),
                loss.backward(),
                nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 0.05),
                optimizer.step(),
                loss,
            )[-1],
        ),
    },
    exact=False,
)


def generator_step(discriminator, generator, optimizer, z):
    return minimise(optimizer, generator_loss(discriminator(generator(z)), False))


def generator_step_on_grad(discriminator, generator, optimizer, z):
    loss = F.softplus(-discriminator(generator(z))).mean()
    parameters = list(generator.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad.copy_(gradient)
    optimizer.step()
    return loss.detach()


def frozen_discriminator(discriminator, generator, optimizer, z):
    for parameter in discriminator.parameters():
        parameter.requires_grad = False
    loss = generator_step(discriminator, generator, optimizer, z).detach()
    for parameter in discriminator.parameters():
        parameter.requires_grad = True
    return loss


def both_cleared(discriminator, generator, optimizer, z):
    generator.zero_grad()
    loss = bce(discriminator(generator(z)), 1)
    loss.backward()
    optimizer.step()
    generator.zero_grad()
    discriminator.zero_grad()
    return loss


def only_the_generators(discriminator, generator, optimizer, z):
    optimizer.zero_grad()
    loss = -F.logsigmoid(discriminator(generator(z))).mean()
    loss.backward(inputs=list(generator.parameters()))
    optimizer.step()
    return loss.detach()


def by_chain(discriminator, generator, optimizer, z):
    """The discriminator's gradient at the fakes first, then through the generator."""
    optimizer.zero_grad()
    fake = generator(z)
    leaf = fake.detach().requires_grad_()
    loss = generator_loss(discriminator(leaf), False)
    (gradient,) = torch.autograd.grad(loss, leaf)
    fake.backward(gradient)
    optimizer.step()
    return loss.detach()


def discriminator_left_frozen(discriminator, generator, optimizer, z):
    discriminator.requires_grad_(False)
    return generator_step(discriminator, generator, optimizer, z)


def discriminator_moved(discriminator, generator, optimizer, z):
    loss = generator_loss(discriminator(generator(z)), False)
    optimizer.zero_grad()
    discriminator.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter -= 0.1 * parameter.grad
    return loss


def with_generator_loss(loss, *, minimised=minimise):
    """The step with another loss of the fake logits, or another way to minimise it."""
    return lambda discriminator, generator, optimizer, z: minimised(optimizer, loss(discriminator(generator(z))))


def eval_step(discriminator, generator, optimizer, z):
    generator.eval()
    loss = generator_step(discriminator, generator, optimizer, z)
    generator.train()
    return loss


def left_generator_in_eval_mode(discriminator, generator, optimizer, z):
    generator.eval()
    return generator_step(discriminator, generator, optimizer, z)


not_saturating = partial(generator_loss, saturating=False)

STILL_GENERATOR = (
    "the generator never moves: its fakes were detached, step() is missing, or gradients were cleared before it"
)

oracle(
    "generator-step",
    reference=generator_step_on_grad,
    right={
        "zero_grad, backward, step": generator_step,
        "the discriminator frozen for a while": frozen_discriminator,
        "both networks' gradients cleared": both_cleared,
        "backward for the generator alone": only_the_generators,
        "through the gradient at the fakes": by_chain,
    },
    wrong={
        CLEAR: with_generator_loss(not_saturating, minimised=without_clearing),
        CLEAR_LATE: with_generator_loss(not_saturating, minimised=cleared_at_the_end),
        STILL_GENERATOR: with_generator_loss(not_saturating, minimised=cleared_between),
        "the generator never moves: its fakes were detached": lambda discriminator, generator, optimizer, z: minimise(
            optimizer, not_saturating(discriminator(generator(z).detach()))
        ),
        "the generator wants its fakes called fake: their label should be 1": with_generator_loss(
            lambda logits: bce(logits, 0)
        ),
        "this is the saturating loss; take saturating=False": with_generator_loss(
            partial(generator_loss, saturating=True)
        ),
        "the loss grows: this step goes uphill": with_generator_loss(not_saturating, minimised=ascent),
        "the loss was summed over the batch": with_generator_loss(lambda logits: F.softplus(-logits).sum()),
        "this is a critic's loss": with_generator_loss(lambda logits: -logits.mean()),
        "a sigmoid was taken before a loss that expects logits": with_generator_loss(
            lambda logits: not_saturating(torch.sigmoid(logits))
        ),
        "draws random numbers of its own": lambda discriminator, generator, optimizer, z: generator_step(
            discriminator, generator, optimizer, torch.randn_like(z)
        ),
        "left the discriminator frozen": discriminator_left_frozen,
        "moved the discriminator": discriminator_moved,
        "the optimizer that was given was not used": lambda discriminator, generator, optimizer, z: generator_step(
            discriminator, generator, torch.optim.Adam(generator.parameters(), lr=2e-4), z
        ),
        "this is the loss after the step; return the one before": lambda discriminator, generator, optimizer, z: (
            generator_step(discriminator, generator, optimizer, z),
            not_saturating(discriminator(generator(z))).detach(),
        )[1],
        "the generator was run in eval mode; leave it in the mode that it is in": eval_step,
        "left the generator in another mode": left_generator_in_eval_mode,
        "returned a float; its signature promises a tensor": lambda *arguments: generator_step(*arguments).item(),
        "two steps were taken; one is a turn": lambda *arguments: (
            generator_step(*arguments),
            generator_step(*arguments),
        )[0],
        "step() is missing": with_generator_loss(not_saturating, minimised=without_step),
        "the logits went through a sigmoid and then a log; take generator_loss": with_generator_loss(
            lambda fake: bce_of_sigmoid(fake, 1)
        ),
    },
    exact=False,
)


def by_torch(n, kernel, stride, padding, output_padding):
    layer = nn.ConvTranspose1d(1, 1, kernel, stride, padding, output_padding, device="meta")
    return layer(torch.empty(1, 1, n, device="meta")).shape[-1]


def by_layer(n, kernel, stride, padding, output_padding):
    return nn.ConvTranspose2d(1, 1, kernel, stride, padding, output_padding)(torch.zeros(1, 1, n, n)).size(3)


def by_counting(n, kernel, stride, padding, output_padding):
    """The last pixel that the last input paints, less what is cut off."""
    painted = {place * stride + offset for place in range(n) for offset in range(kernel)}
    return max(painted) + 1 - 2 * padding + output_padding


def size(n, kernel, stride, padding, output_padding):
    return stride * (n - 1) + kernel - 2 * padding + output_padding


oracle(
    "conv-transpose-size",
    reference=by_torch,
    right={
        "formula": size,
        "counting pixels": by_counting,
        "the layer itself, with random weights": by_layer,
        "a NumPy integer": lambda n, kernel, stride, padding, output_padding: numpy.int64(
            size(n, kernel, stride, padding, output_padding)
        ),
        "inverse of the convolution's formula": lambda n, kernel, stride, padding, output_padding: next(
            m
            for m in range(1, 1000)
            if (m - output_padding + 2 * padding - kernel) == (n - 1) * stride and m > output_padding - 1
        ),
    },
    wrong={
        "this is the size of an ordinary convolution's output": lambda n, k, s, p, o: (n + 2 * p - k) // s + 1,
        "the output padding is missing": lambda n, k, s, p, o: size(n, k, s, p, 0),
        "the output padding counts once, on one side only": lambda n, k, s, p, o: size(n, k, s, p, 2 * o),
        "the output padding is added, not subtracted": lambda n, k, s, p, o: size(n, k, s, p, -o),
        "the padding cuts both sides: it counts twice": lambda n, k, s, p, o: size(n, k, s, 0, o) - p,
        "the padding of a transposed convolution makes the output smaller": lambda n, k, s, p, o: size(n, k, s, -p, o),
        "the padding is missing": lambda n, k, s, p, o: size(n, k, s, 0, o),
        "the stride counts n − 1 times, between neighbours": lambda n, k, s, p, o: n * s + k - 2 * p + o,
        "the stride was ignored": lambda n, k, s, p, o: size(n, k, 1, p, o),
        "the stride is not always 2": lambda n, k, s, p, o: size(n, k, 2, p, o),
        "n times the stride holds only where kernel and padding fit": lambda n, k, s, p, o: n * s + o,
        "kernel − 1 was added; the kernel counts in full": lambda n, k, s, p, o: size(n, k - 1, s, p, o),
        "one too many: the kernel's +1 is counted twice": lambda n, k, s, p, o: size(n, k + 1, s, p, o),
        "kernel and stride are exchanged": lambda n, k, s, p, o: size(n, s, k, p, o),
        "a transposed convolution can make an image smaller, too": lambda n, k, s, p, o: max(n, size(n, k, s, p, o)),
        "kernels smaller than the stride leave gaps, and the last gap is not painted": lambda n, k, s, p, o: size(
            n, max(k, s), s, p, o
        ),
        "there is no largest size": lambda n, k, s, p, o: min(64, size(n, k, s, p, o)),
        "returned a Tensor; its signature promises an int": lambda n, k, s, p, o: torch.tensor(size(n, k, s, p, o)),
        "returned a float; its signature promises an int": lambda n, k, s, p, o: n * s / 1 + k - s - 2 * p + o,
    },
)


def stage(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
    layer = nn.ConvTranspose2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU(True)]


def dcgan(latent: int, width: int, channels: int, *, end: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(1, (latent, 1, 1)),
        *stage(latent, 4 * width, 7, 1, 0),
        *stage(4 * width, 2 * width, 4, 2, 1),
        nn.ConvTranspose2d(2 * width, channels, 4, 2, 1),
        nn.Sigmoid() if end is None else end,
    )


def upsampling(latent: int, width: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latent, width * 49),
        nn.Unflatten(1, (width, 7, 7)),
        nn.LeakyReLU(0.2),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(width, width, 3, padding=1),
        nn.GroupNorm(4, width),
        nn.SiLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(width, channels, 5, padding=2),
        nn.Sigmoid(),
    )


def dense_generator(latent: int, width: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latent, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, 4 * width),
        nn.Dropout(0.3),
        nn.ReLU(),
        nn.Linear(4 * width, channels * 28 * 28),
        nn.Sigmoid(),
        nn.Unflatten(1, (channels, 28, 28)),
    )


class Shifted(nn.Module):
    """tanh, brought from [−1, 1] to [0, 1]; layers in a list, cropped from 32 to 28 pixels, weights normalised."""

    def __init__(self, latent: int, width: int, channels: int) -> None:
        super().__init__()
        spectral = nn.utils.parametrizations.spectral_norm
        self.width = width
        self.start = spectral(nn.Linear(latent, 16 * width))
        self.layers = nn.ModuleList(
            [
                spectral(nn.ConvTranspose2d(width, width, 4, 2, 1)),
                nn.ConvTranspose2d(width, width, 4, 2, 1),
                nn.ConvTranspose2d(width, channels, 4, 2, 1),
            ]
        )

    def forward(self, z: Tensor) -> Tensor:
        x = self.start(z).view(len(z), self.width, 4, 4)
        for layer in self.layers:
            x = layer(F.leaky_relu(x, 0.2))
        return (torch.tanh(x[..., 2:-2, 2:-2]) + 1) / 2


class Changed(nn.Module):
    """A network whose output is changed by a function of output and input."""

    def __init__(self, network: nn.Module, change) -> None:
        super().__init__()
        self.network, self.change = network, change

    def forward(self, inputs: Tensor) -> Tensor:
        return self.change(self.network(inputs), inputs)


class Hidden(nn.Module):
    """A network that keeps another one where `parameters()` does not look."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.networks = [network]

    def forward(self, inputs: Tensor) -> Tensor:
        return self.networks[0](inputs)


class Before(nn.Module):
    """A network whose input is changed."""

    def __init__(self, network: nn.Module, change) -> None:
        super().__init__()
        self.network, self.change = network, change

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network(self.change(inputs))


def frozen(network: nn.Sequential) -> nn.Sequential:
    network[1].requires_grad_(False)
    return network


def in_place(inputs: Tensor) -> Tensor:
    return inputs.detach().mul_(2) if not inputs.requires_grad else 2 * inputs


def seeded(build):
    def build_seeded(*sizes):
        torch.manual_seed(0)
        return build(*sizes)

    return build_seeded


oracle(
    "build-generator",
    reference=dcgan,
    right={
        "upsampling and convolutions": upsampling,
        "fully connected, with dropout": dense_generator,
        "tanh moved to [0, 1], cropped, spectral norm": Shifted,
        "pixels clamped": lambda k, w, c: Changed(
            dcgan(k, w, c, end=nn.Identity()), lambda x, z: (x + 0.5).clamp(0, 1)
        ),
        "hardsigmoid": lambda k, w, c: dcgan(k, w, c, end=nn.Hardsigmoid()),
        "plain init": lambda k, w, c: dcgan(k, w, c).apply(init_weights),
        "BatchNorm without running statistics": lambda k, w, c: nn.Sequential(
            nn.Linear(k, 2 * w),
            nn.LayerNorm(2 * w),
            nn.ELU(),
            nn.Linear(2 * w, 784 * c),
            nn.Sigmoid(),
            nn.Unflatten(1, (c, 28, 28)),
        ),
    },
    wrong={
        "some pixels are below 0": lambda k, w, c: dcgan(k, w, c, end=nn.Tanh()),
        "some pixels are below 0 (here -": lambda k, w, c: dcgan(k, w, c, end=nn.Identity()),
        "some pixels are above 1": lambda k, w, c: dcgan(k, w, c, end=nn.ReLU()),
        "all pixels are between 0.5": lambda k, w, c: dcgan(k, w, c, end=nn.Sequential(nn.ReLU(), nn.Sigmoid())),
        "the images have shape (8, 1, 32, 32); it should be (8, 1, 28, 28)": lambda k, w, c: nn.Sequential(
            nn.Unflatten(1, (k, 1, 1)),
            *stage(k, 4 * w, 4, 1, 0),
            *stage(4 * w, 2 * w, 4, 2, 1),
            *stage(2 * w, w, 4, 2, 1),
            nn.ConvTranspose2d(w, c, 4, 2, 1),
            nn.Sigmoid(),
        ),
        "the images have shape (8, 784); it should be (8, 1, 28, 28)": lambda k, w, c: dense_generator(k, w, c)[:-1],
        "the images have shape (8, 1, 28, 28); it should be (8, 3, 28, 28)": lambda k, w, c: dcgan(k, w, 1),
        "the images have shape (28, 28); it should be (1, 1, 28, 28)": lambda k, w, c: Changed(
            dcgan(k, w, c), lambda x, z: x.squeeze() if len(x) == 1 else x
        ),
        "the generator takes 100 latents whatever `latent` is": lambda k, w, c: dcgan(100, w, c),
        "the generator takes codes of shape (batch, latent, 1, 1)": lambda k, w, c: dcgan(k, w, c)[1:],
        "weights at width 8 and": lambda k, w, c: dcgan(k, 16, c),
        "depends on the rest of its batch": lambda k, w, c: Changed(dcgan(k, w, c), lambda x, z: (x + x.mean(0)) / 2),
        "normalises by its batch in eval mode, too": lambda k, w, c: nn.Sequential(
            nn.BatchNorm1d(k, track_running_stats=False), dcgan(k, w, c)
        ),
        "the generator is random in eval mode": lambda k, w, c: Before(
            dcgan(k, w, c), lambda z: z + 0.1 * torch.randn_like(z)
        ),
        "the images are the same for every input": lambda k, w, c: Before(dcgan(k, w, c), torch.zeros_like),
        "the images do not depend on some units of z": lambda k, w, c: Before(
            dcgan(k, w, c), lambda z: torch.cat([z[:, :1], 0 * z[:, 1:]], 1)
        ),
        "the images are the same in every channel": lambda k, w, c: Changed(
            dcgan(k, w, 1), lambda x, z: x.expand(-1, c, -1, -1)
        ),
        "the generator uses weights that generator.parameters() does not list": lambda k, w, c: Hidden(dcgan(k, w, c)),
        "no gradient reaches some weights of the generator": lambda k, w, c: frozen(dcgan(k, w, c)),
        "a network changed its input in place": lambda k, w, c: Before(dcgan(k, w, c), lambda z: z.data.mul_(2)),
        "two calls return the same networks": cache(dcgan),
        "build_generator seeds torch's random numbers": seeded(dcgan),
        "build_generator should return a torch.nn.Module, not function": lambda k, w, c: lambda z: z,
        "the images are torch.float64": lambda k, w, c: Changed(dcgan(k, w, c), lambda x, z: x.double()),
    },
    exact=False,
)


def dcgan_critic(width: int, channels: int, *, end: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, 2, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Flatten(),
        nn.Linear(2 * width * 49, 1),
        nn.Flatten(0) if end is None else end,
    )


class Squeezed(nn.Module):
    """Strided convolutions down to one pixel, under spectral normalisation; the one axis of length 1 is dropped."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        spectral = nn.utils.spectral_norm
        self.body = nn.Sequential(
            spectral(nn.Conv2d(channels, width, 5, 2, 2)),
            nn.LeakyReLU(0.1),
            spectral(nn.Conv2d(width, 2 * width, 5, 2, 2)),
            nn.LeakyReLU(0.1),
            spectral(nn.Conv2d(2 * width, 1, 7, bias=False)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)[:, 0, 0, 0]


def dense_discriminator(width: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784 * channels, 4 * width),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(4 * width, width),
        nn.ReLU(),
        nn.Linear(width, 1),
        nn.Flatten(0),
    )


def pooled(width: int, channels: int) -> nn.Module:
    spectral = nn.utils.parametrizations.spectral_norm
    body = nn.Sequential(
        spectral(nn.Conv2d(channels, width, 3, padding=1)),
        nn.GELU(),
        nn.AvgPool2d(2),
        spectral(nn.Conv2d(width, 2 * width, 3, padding=1)),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        spectral(nn.Linear(2 * width, 1)),
    )
    return Changed(body, lambda logits, x: logits.squeeze(1))


oracle(
    "build-discriminator",
    reference=dcgan_critic,
    right={
        "spectral norm, bare axes indexed away": Squeezed,
        "fully connected, with dropout": dense_discriminator,
        "pooled features under another spectral norm": pooled,
        "view": lambda w, c: Changed(dcgan_critic(w, c, end=nn.Identity()), lambda logits, x: logits.view(-1)),
        "weights of the paper": lambda w, c: dcgan_critic(w, c).apply(init_weights),
        "layer norm, inputs moved to [−1, 1]": lambda w, c: Before(
            nn.Sequential(
                nn.Conv2d(c, w, 4, 2, 1),
                nn.LayerNorm([w, 14, 14]),
                nn.LeakyReLU(0.2),
                nn.Conv2d(w, 1, 14),
                nn.Flatten(0),
            ),
            lambda x: 2 * x - 1,
        ),
    },
    wrong={
        "the logits are never below 0": lambda w, c: nn.Sequential(dcgan_critic(w, c), nn.Sigmoid()),
        "the logits are never above 1": lambda w, c: nn.Sequential(dcgan_critic(w, c), nn.Tanh()),
        "the logits are never below 0, whatever the weights": lambda w, c: nn.Sequential(
            dcgan_critic(w, c), nn.Softplus()
        ),
        "the logits are never above 1, whatever the weights": lambda w, c: nn.Sequential(
            dcgan_critic(w, c), nn.LogSigmoid()
        ),
        "the logits have shape (8, 1); it should be (8,)": lambda w, c: dcgan_critic(w, c, end=nn.Identity()),
        "the logits have shape (8, 1, 1, 1); it should be (8,)": lambda w, c: Squeezed(w, c).body,
        "the logits have shape (); it should be (1,)": lambda w, c: Changed(
            dcgan_critic(w, c, end=nn.Identity()), lambda logits, x: logits.squeeze()
        ),
        "the logits have shape (); it should be (8,)": lambda w, c: Changed(
            dcgan_critic(w, c), lambda logits, x: logits.mean()
        ),
        "the logits have shape (392,); it should be (8,)": lambda w, c: nn.Sequential(
            nn.Conv2d(c, w, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(w, 1, 4, 2, 1), nn.Flatten(0)
        ),
        "the logits have shape (8, 2); it should be (8,)": lambda w, c: nn.Sequential(
            nn.Flatten(), nn.Linear(784 * c, w), nn.ReLU(), nn.Linear(w, 2)
        ),
        "the discriminator takes images of 1 channel whatever `channels` is": lambda w, c: dcgan_critic(w, 1),
        "the discriminator takes images of 3 channels whatever `channels` is": lambda w, c: dcgan_critic(w, 3),
        "the discriminator takes flat images": lambda w, c: dense_discriminator(w, c)[1:],
        "weights at width 8 and": lambda w, c: dcgan_critic(16, c),
        "in eval mode, one of the logits depends on the rest of its batch": lambda w, c: Changed(
            dcgan_critic(w, c), lambda logits, x: logits - logits.mean()
        ),
        "in eval mode, one of the logits depends on the rest of its batch (width 8": lambda w, c: nn.Sequential(
            nn.BatchNorm2d(c, track_running_stats=False), dcgan_critic(w, c)
        ),
        "the discriminator is random in eval mode": lambda w, c: Changed(
            dcgan_critic(w, c), lambda logits, x: logits + F.dropout(torch.ones_like(logits))
        ),
        "the logits are the same for every input": lambda w, c: Before(dcgan_critic(w, c), torch.ones_like),
        "the logits do not depend on some part or channel of an image": lambda w, c: Before(
            dcgan_critic(w, c), lambda x: F.pad(x[..., 14:, :], (0, 0, 0, 14))
        ),
        "no gradient reaches some weights of the discriminator": lambda w, c: frozen_first(dcgan_critic(w, c)),
        "the discriminator uses weights that discriminator.parameters() does not list": lambda w, c: Hidden(
            dcgan_critic(w, c)
        ),
        "a network changed its input in place": lambda w, c: nn.Sequential(
            nn.LeakyReLU(0.2, inplace=True), Before(dcgan_critic(w, c), lambda x: x.data.sub_(0.5))
        ),
        "two calls return the same networks": cache(dcgan_critic),
        "build_discriminator seeds torch's random numbers": seeded(dcgan_critic),
    },
    exact=False,
)


def init_weights(module: nn.Module) -> None:
    name = type(module).__name__
    if "Conv" in name:
        module.weight.data.normal_(0.0, 0.02)
    elif "BatchNorm" in name:
        module.weight.data.normal_(1.0, 0.02)
        module.bias.data.fill_(0)


CONVOLUTIONS = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d


@torch.no_grad()
def init_by_copy(module: nn.Module) -> None:
    match module:
        case nn.Conv2d() | nn.ConvTranspose2d():
            module.weight.copy_(0.02 * torch.randn(module.weight.shape))
            if module.bias is not None:
                module.bias.zero_()
        case nn.BatchNorm2d():
            module.weight.copy_(1 + 0.02 * torch.randn_like(module.weight))
            module.bias.copy_(torch.zeros_like(module.bias))


def init_by_init(module: nn.Module) -> nn.Module:
    if isinstance(module, CONVOLUTIONS):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        nn.init.normal_(module.weight, 1, 0.02)
        nn.init.constant_(module.bias, 0)
    return module


def init_all_within(module: nn.Module) -> None:
    for layer in module.modules():
        init_by_init(layer)


def init_data(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        module.weight.data = torch.normal(0.0, 0.02, module.weight.shape)
    elif isinstance(module, nn.BatchNorm2d):
        module.weight.data = torch.normal(1.0, 0.02, module.weight.shape)
        module.bias.data = torch.zeros(module.bias.shape)


def init_numpy(module: nn.Module) -> None:
    if isinstance(module, (nn.modules.conv._ConvNd, nn.BatchNorm2d)):
        mean = float(isinstance(module, nn.BatchNorm2d))
        weight = numpy.random.normal(mean, 0.02, tuple(module.weight.shape))
        module.weight.data.copy_(torch.from_numpy(weight))
        if mean:
            nn.init.zeros_(module.bias)


def init_with(
    draw_convolution=None, draw_norm=None, *, convolutions=CONVOLUTIONS, norms=nn.BatchNorm2d, norm_bias=nn.init.zeros_
):
    """init_weights with other draws, or for other layers."""

    def init(module: nn.Module) -> None:
        if isinstance(module, convolutions):
            (draw_convolution or partial(nn.init.normal_, std=0.02))(module.weight)
        elif isinstance(module, norms):
            (draw_norm or partial(nn.init.normal_, mean=1, std=0.02))(module.weight)
            norm_bias(module.bias)

    return init


def init_whatever_has_weights(module: nn.Module) -> None:
    if hasattr(module, "weight"):
        nn.init.normal_(module.weight, 0, 0.02)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.zeros_(module.bias)


def init_unasked(module: nn.Module) -> None:
    nn.init.normal_(module.weight, 0, 0.02)


def init_biases_always(module: nn.Module) -> None:
    init_weights(module)
    if isinstance(module, CONVOLUTIONS):
        nn.init.zeros_(module.bias)


def init_new_parameters(module: nn.Module) -> None:
    if isinstance(module, CONVOLUTIONS):
        module.weight = nn.Parameter(0.02 * torch.randn_like(module.weight))
    elif isinstance(module, nn.BatchNorm2d):
        module.weight = nn.Parameter(1 + 0.02 * torch.randn_like(module.weight))
        module.bias = nn.Parameter(torch.zeros_like(module.bias))


def init_seeded(module: nn.Module) -> None:
    torch.manual_seed(0)
    init_weights(module)


def init_by_generator(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    if isinstance(module, CONVOLUTIONS):
        nn.init.normal_(module.weight, 0, 0.02, generator=generator)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02, generator=generator)
        nn.init.zeros_(module.bias)


def init_frozen(module: nn.Module) -> None:
    init_weights(module)
    module.requires_grad_(False)


def frozen_first(network: nn.Sequential) -> nn.Sequential:
    network[0].requires_grad_(False)
    return network


oracle(
    "init-weights",
    reference=init_weights,
    right={
        "copy_": init_by_copy,
        "nn.init, other dimensions too": init_by_init,
        "goes through the layers of a network itself": init_all_within,
        "new data": init_data,
        "NumPy": init_numpy,
        "truncated at a hundred standard deviations": init_with(partial(nn.init.trunc_normal_, std=0.02)),
        "linear layers too": init_with(convolutions=(*CONVOLUTIONS, nn.Linear)),
    },
    wrong={
        "0.02 was taken for the variance; it is the standard deviation": init_with(
            partial(nn.init.normal_, std=0.02**0.5), partial(nn.init.normal_, mean=1, std=0.02**0.5)
        ),
        "have standard deviation 0.141: 0.02 was taken for the variance": init_with(
            partial(nn.init.normal_, std=0.02**0.5)
        ),
        "the weights of a BatchNorm have standard deviation 0.141": init_with(
            None, partial(nn.init.normal_, mean=1, std=0.02**0.5)
        ),
        "0.02² was taken for the standard deviation": init_with(partial(nn.init.normal_, std=0.02**2)),
        "are uniform, between -0.02 and 0.02": init_with(partial(nn.init.uniform_, a=-0.02, b=0.02)),
        "are uniform, between -0.0346": init_with(partial(nn.init.uniform_, a=-0.02 * 3**0.5, b=0.02 * 3**0.5)),
        "are uniform, between": init_with(nn.init.kaiming_uniform_),
        "the weights of a transposed convolution were left as they were": init_with(convolutions=nn.Conv2d),
        "the weights of a convolution were left as they were": init_with(convolutions=nn.ConvTranspose2d),
        "the weights of a BatchNorm were left as they were": init_with(norms=()),
        "the weights of a BatchNorm have mean": init_with(None, partial(nn.init.normal_, std=0.02)),
        "the weights of a BatchNorm have mean -": init_whatever_has_weights,
        "the weights of a BatchNorm are all 1": init_with(None, nn.init.ones_),
        "the weights of a convolution are all 0.02": init_with(partial(nn.init.constant_, val=0.02)),
        "the weights of a convolution have mean": init_with(partial(nn.init.normal_, mean=0.02, std=0.02)),
        "the biases of a BatchNorm are not 0": init_with(norm_bias=lambda bias: None),
        "the biases of a BatchNorm are not 0 (here ": init_with(norm_bias=partial(nn.init.normal_, std=0.02)),
        "are not distributed as N(0, 0.02²)": init_with(
            lambda weight: weight.data.copy_(td.Laplace(0.0, 0.02 * 0.5**0.5).sample(weight.shape))
        ),
        "the weights of a convolution have standard deviation 0.017": init_with(
            lambda weight: nn.init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04)
        ),
        "the weights of a convolution have standard deviation": init_with(nn.init.kaiming_normal_),
        "raised AttributeError": init_unasked,
        "raised AttributeError at `": init_biases_always,
        "are new objects or no longer learn": init_new_parameters,
        "are new objects or no longer learn, and an optimizer": init_frozen,
        "draws the same numbers in every call": init_seeded,
        "draws the same numbers in every call, so that all networks start alike": init_by_generator,
    },
    exact=False,
)


def snapshot(generator: nn.Module, z: Tensor) -> Tensor:
    with torch.no_grad():
        return copy.deepcopy(generator).eval()(z)


def switched(generator: nn.Module, z: Tensor) -> Tensor:
    was = generator.training
    generator.eval()
    images = generator(z).detach()
    generator.train(was)
    return images


@torch.inference_mode()
def inferred(generator: nn.Module, z: Tensor) -> Tensor:
    modes = {module: module.training for module in generator.modules()}
    try:
        return generator.eval()(z).cpu()
    finally:
        for module, mode in modes.items():
            module.training = mode


@torch.no_grad()
def switched_if_needed(generator: nn.Module, z: Tensor) -> Tensor:
    if not generator.training:
        return generator(z)
    images = generator.train(False)(z)
    generator.train()
    return images.clone()


def functional(generator: nn.Module, z: Tensor) -> Tensor:
    other = copy.deepcopy(generator).eval()
    return torch.func.functional_call(other, {k: v.detach() for k, v in generator.state_dict().items()}, z)


@torch.no_grad()
def in_train_mode(generator: nn.Module, z: Tensor) -> Tensor:
    was = generator.training
    images = generator.train()(z)
    generator.train(was)
    return images


@torch.no_grad()
def statistics_put_back(generator: nn.Module, z: Tensor) -> Tensor:
    return copy.deepcopy(generator).train()(z)


@torch.no_grad()
def left_in_eval(generator: nn.Module, z: Tensor) -> Tensor:
    return generator.eval()(z)


@torch.no_grad()
def always_back_to_train(generator: nn.Module, z: Tensor) -> Tensor:
    images = generator.eval()(z)
    generator.train()
    return images


def with_graph(generator: nn.Module, z: Tensor) -> Tensor:
    was = generator.training
    images = generator.eval()(z)
    generator.train(was)
    return images


def item_by_item(generator: nn.Module, z: Tensor) -> Tensor:
    return snapshot(generator, z)[:1]


oracle(
    "snapshot",
    reference=snapshot,
    right={
        "eval and back": switched,
        "inference_mode, every module put back": inferred,
        "switched only if needed": switched_if_needed,
        "functional call": functional,
    },
    wrong={
        "the generator was in train mode: BatchNorm then uses this batch instead of its running statistics": (
            statistics_put_back
        ),
        "changed the generator's weights or its running statistics": in_train_mode,
        "changed the generator's weights or its running statistics; take the picture in eval mode": (
            lambda generator, z: generator(z).detach()
        ),
        "left the generator in eval mode; it was in train mode": left_in_eval,
        "left the generator in train mode; it was in eval mode": always_back_to_train,
        "returned images that hold a graph": with_graph,
        "draws random numbers of its own": lambda generator, z: snapshot(generator, torch.randn_like(z)),
        "only the first image was returned": item_by_item,
        "the images are flat; keep their shape": lambda generator, z: snapshot(generator, z).flatten(1),
        "pixels were moved from [−1, 1] to [0, 1], where they are already": lambda generator, z: (
            (snapshot(generator, z) + 1) / 2
        ),
        "another sigmoid was taken of the pixels": lambda generator, z: snapshot(generator, z).sigmoid(),
        "pixels were rounded to 8 bits": lambda generator, z: (snapshot(generator, z) * 255).byte() / 255,
        "returned a ndarray": lambda generator, z: snapshot(generator, z).numpy(),
        "left gradients in the generator, or froze it": lambda generator, z: snapshot(
            generator.requires_grad_(False), z
        ),
    },
    exact=False,
)
