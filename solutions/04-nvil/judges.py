"""Who decides in lab 04: oracles, right answers in other styles, and wrong ones under the sentence that names them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import cache, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.nn import functional as F

from lvmlib.grading.judges import oracle

Pair = tuple[Tensor, Tensor]


def pair_in_double(function: Callable[..., Pair]) -> Callable[..., Pair]:
    """The same function of float32 tensors, computed in float64, with both results rounded once."""

    def precise(*arguments: Tensor) -> Pair:
        first, second = function(*(argument.double() for argument in arguments))
        return first.to(arguments[0].dtype), second.to(arguments[0].dtype)

    return precise


def component_log_probs(z: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """log N(z_b; m_c, diag s_c²), shape (B, C)."""
    return td.Independent(td.Normal(means, scales), 1).log_prob(z[:, None])


def mixture_log_prob(z: Tensor, logits: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    return (logits.log_softmax(0) + component_log_probs(z, means, scales)).logsumexp(1)


def mixture_by_hand(z: Tensor, logits: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    whitened = (z.unsqueeze(1) - means) / scales
    terms = -0.5 * whitened.square() - torch.log(scales) - 0.5 * math.log(2 * math.pi)
    return torch.logsumexp(logits + terms.sum(-1), dim=-1) - torch.logsumexp(logits, dim=-1)


def mixture_by_item(z: Tensor, logits: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    weights = F.log_softmax(logits, dim=-1)
    found = []
    for point in z:
        total = weights[0] + td.Normal(means[0], scales[0]).log_prob(point).sum()
        for c in range(1, len(weights)):
            total = torch.logaddexp(total, weights[c] + td.Normal(means[c], scales[c]).log_prob(point).sum())
        found.append(total)
    return torch.stack(found)


def mixture_by_shift(z: Tensor, logits: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    joint = logits.log_softmax(-1) + component_log_probs(z, means, scales)
    highest = joint.max(1, keepdim=True).values.detach()
    return highest.squeeze(1) + (joint - highest).exp().sum(1).log()


def mixture_by_covariances(z: Tensor, logits: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    components = td.MultivariateNormal(means, torch.diag_embed(scales**2))
    return td.MixtureSameFamily(td.Categorical(logits=logits), components).log_prob(z)


def mixed(join: Callable[[Tensor, Tensor], Tensor], **change: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """A variant that joins logits and the components' log densities otherwise, or that changes an argument first."""

    def variant(z: Tensor, logits: Tensor, means: Tensor, scales: Tensor) -> Tensor:
        logits, means, scales = (
            change.get(name, lambda value: value)(value)
            for name, value in (("logits", logits), ("means", means), ("scales", scales))
        )
        return join(logits, component_log_probs(z, means, scales))

    return variant


def joined(logits: Tensor, components: Tensor) -> Tensor:
    return (logits.log_softmax(0) + components).logsumexp(1)


def by_term(terms: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A variant with other terms of (z − m, s) for each coordinate."""
    return lambda z, logits, means, scales: joined(logits, terms(z[:, None] - means, scales).sum(-1))


def normal_terms(error: Tensor, scales: Tensor) -> Tensor:
    return -0.5 * (error / scales) ** 2 - scales.log() - 0.5 * math.log(2 * math.pi)


oracle(
    "mixture-log-prob",
    reference=lambda z, logits, means, scales: td.MixtureSameFamily(
        td.Categorical(logits=logits), td.Independent(td.Normal(means, scales), 1)
    ).log_prob(z),
    right={
        "one line": mixture_log_prob,
        "every term by hand, the logits normalised at the end": mixture_by_hand,
        "point by point, component by component": mixture_by_item,
        "shifted exponentials": mixture_by_shift,
        "covariance matrices": mixture_by_covariances,
        "logits less their logsumexp": mixed(lambda logits, parts: (logits - logits.logsumexp(0) + parts).logsumexp(1)),
    },
    wrong={
        "this is a product of one-dimensional mixtures: sum over the coordinates first, inside each component": (
            lambda z, logits, means, scales: (
                (logits.log_softmax(0)[:, None] + td.Normal(means, scales).log_prob(z[:, None])).logsumexp(1).sum(-1)
            )
        ),
        "the logits are not normalised; take their log_softmax": mixed(
            lambda logits, parts: (logits + parts).logsumexp(1)
        ),
        "this is the average of the logarithms; the logarithm of the average is wanted": mixed(
            lambda logits, parts: (logits.softmax(0) * parts).sum(1)
        ),
        "the weights are missing: all components count alike": mixed(
            lambda logits, parts: parts.logsumexp(1) - math.log(len(logits))
        ),
        "the weights are missing, and so is the division by their number": mixed(
            lambda logits, parts: parts.logsumexp(1)
        ),
        "probabilities were added to log densities; take their logarithm": mixed(
            lambda logits, parts: (logits.softmax(0) + parts).logsumexp(1)
        ),
        "logits were taken for probabilities": mixed(lambda logits, parts: (logits.log() + parts).logsumexp(1)),
        "logits were taken for probabilities and divided by their sum": mixed(
            lambda logits, parts: ((logits / logits.sum()).log() + parts).logsumexp(1)
        ),
        "the densities themselves were formed, and exp underflows; stay with the logarithms and logsumexp": mixed(
            lambda logits, parts: (logits.softmax(0) * parts.exp()).sum(1).log()
        ),
        "the densities themselves were formed, and a small constant hides that exp underflows": mixed(
            lambda logits, parts: ((logits.softmax(0) * parts.exp()).sum(1) + 1e-12).log()
        ),
        "the logarithm was taken of a softmax, which is 0 for low logits; take log_softmax": mixed(
            lambda logits, parts: (logits.softmax(0).log() + parts).logsumexp(1)
        ),
        "a small constant was added to the softmax; take log_softmax": mixed(
            lambda logits, parts: ((logits.softmax(0) + 1e-8).log() + parts).logsumexp(1)
        ),
        "exp(logits) overflows; take log_softmax": mixed(
            lambda logits, parts: ((logits.exp() / logits.exp().sum()).log() + parts).logsumexp(1)
        ),
        "the logits were clamped; they are right as they are": mixed(joined, logits=lambda value: value.clamp(-20, 20)),
        "the largest component was taken instead of the sum over all": mixed(
            lambda logits, parts: (logits.log_softmax(0) + parts).max(1).values
        ),
        "this is a mean over the components; the weights already add up to 1": mixed(
            lambda logits, parts: joined(logits, parts) - math.log(len(logits))
        ),
        "scales were read as variances; they are standard deviations": mixed(joined, scales=Tensor.sqrt),
        "scales were squared, and the square was used as a standard deviation": mixed(joined, scales=Tensor.square),
        "scales were read as logarithms": mixed(joined, scales=Tensor.exp),
        "scales were clamped from below": mixed(joined, scales=lambda value: value.clamp(min=1e-2)),
        "a constant was added to the scales": mixed(joined, scales=lambda value: value + 1e-3),
        "averaged over the coordinates; log densities of independent coordinates add up": by_term(
            lambda error, scales: normal_terms(error, scales) / error.shape[-1]
        ),
        "the constant log 2π is missing": by_term(lambda error, scales: -0.5 * (error / scales) ** 2 - scales.log()),
        "the constant ½ log 2π was counted once; every coordinate has one": lambda z, logits, means, scales: (
            mixture_log_prob(z, logits, means, scales) + 0.5 * (z.shape[1] - 1) * math.log(2 * math.pi)
        ),
        "the term −log σ is missing": by_term(
            lambda error, scales: -0.5 * (error / scales) ** 2 - 0.5 * math.log(2 * math.pi)
        ),
        "log σ was added; it is subtracted": by_term(
            lambda error, scales: normal_terms(error, scales) + 2 * scales.log()
        ),
        "the factor ½ before the squared distance is missing": by_term(
            lambda error, scales: normal_terms(error, scales) - 0.5 * (error / scales) ** 2
        ),
        "the square is missing: this is the distance divided by σ": by_term(
            lambda error, scales: normal_terms(error, scales) + 0.5 * (error / scales) ** 2 - 0.5 * error / scales
        ),
        "the distance was divided by σ, not by σ²": by_term(
            lambda error, scales: -0.5 * error**2 / scales - scales.log() - 0.5 * math.log(2 * math.pi)
        ),
        "summed over the batch; one value for each z is wanted": lambda *arguments: mixture_log_prob(*arguments).sum(),
        "averaged over the batch; one value for each z is wanted": lambda *arguments: mixture_log_prob(
            *arguments
        ).mean(),
        "summed over the batch, axis 0, instead of the components": mixed(
            lambda logits, parts: (logits.log_softmax(0) + parts).logsumexp(0)
        ),
        "left one value for each component; sum over them by logsumexp": mixed(
            lambda logits, parts: logits.log_softmax(0) + parts
        ),
        "left an axis of length 1": mixed(
            lambda logits, parts: (logits.log_softmax(0) + parts).logsumexp(1, keepdim=True)
        ),
        "this is the density; its logarithm is wanted": lambda *arguments: mixture_log_prob(*arguments).exp(),
        "the sign is wrong; this is −log p": lambda *arguments: -mixture_log_prob(*arguments),
        "no gradient reaches the logits: they were detached": mixed(joined, logits=Tensor.detach),
        "no gradient reaches the scales: they were detached": mixed(joined, scales=Tensor.detach),
        "no gradient reaches any argument": lambda *arguments: mixture_log_prob(*arguments).detach(),
        "value is float32; it should be float64": lambda *arguments: mixture_log_prob(*arguments).float(),
        "changed its argument `logits` in place": lambda z, logits, means, scales: mixture_log_prob(
            z, logits.data.sub_(logits.data.logsumexp(0)) + 0 * logits, means, scales
        ),
        "draws random numbers of its own": lambda z, logits, means, scales: component_log_probs(
            z, means, scales
        ).gather(1, td.Categorical(logits=logits).sample(z.shape[:1])[:, None])[:, 0],
    },
)


def log_joint(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> Tensor:
    """log p(z = k) + log p(x | z = k), shape (…, K)."""
    return log_prior + x @ decoder_logits.T - F.softplus(decoder_logits).sum(-1)


def marginal_and_posterior(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> Pair:
    joint = log_joint(x, log_prior, decoder_logits)
    return joint.logsumexp(-1), joint.log_softmax(-1)


def by_cross_entropy(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> Pair:
    pixels, logits = torch.broadcast_tensors(x.unsqueeze(-2), decoder_logits)
    joint = log_prior - F.binary_cross_entropy_with_logits(logits, pixels, reduction="none").sum(-1)
    log_p_x = torch.logsumexp(joint, dim=-1)
    return log_p_x, joint - log_p_x.unsqueeze(-1)


def code_by_code(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> list[Tensor]:
    """A loop over the codes, and a list of results."""
    columns = []
    for weight, logits in zip(log_prior, decoder_logits, strict=True):
        columns.append(weight + (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(-1))
    joint = torch.stack(columns, -1)
    total = columns[0]
    for column in columns[1:]:
        total = torch.logaddexp(total, column)
    return [total, joint - total[..., None]]


def by_distributions(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> Pair:
    prior = td.Categorical(logits=log_prior)
    pixels = td.Independent(td.Bernoulli(logits=decoder_logits), 1)
    joint = prior.logits + pixels.log_prob(x[..., None, :])
    return td.MixtureSameFamily(prior, pixels).log_prob(x), td.Categorical(logits=joint).logits


def image_by_image(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> Pair:
    images = x.reshape(-1, x.shape[-1])
    answers = [marginal_and_posterior(image, log_prior, decoder_logits) for image in images]
    log_p_x, log_posterior = (torch.stack(part) for part in zip(*answers, strict=True))
    return log_p_x.view(x.shape[:-1]), log_posterior.view(*x.shape[:-1], -1)


def by_bayes(finish: Callable[[Tensor], Sequence[Tensor]], join=log_joint) -> Callable[..., Sequence[Tensor]]:
    """A variant with another log joint, or with another end."""
    return lambda x, log_prior, decoder_logits: finish(join(x, log_prior, decoder_logits))


def both(joint: Tensor) -> Pair:
    return joint.logsumexp(-1), joint.log_softmax(-1)


def pixel_log_probs(x: Tensor, decoder_logits: Tensor) -> Tensor:
    """log p(x_d | z = k), shape (…, K, D)."""
    return x[..., None, :] * decoder_logits - F.softplus(decoder_logits)


def first_axis_only(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> Pair:
    """The codes' axis after the first batch axis, wherever the others are."""
    pixels = x.unsqueeze(1) if x.dim() > 1 else x[None]
    joint = log_prior + (pixels * decoder_logits - F.softplus(decoder_logits)).sum(-1)
    return both(joint)


def codes_on_axis_1(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> Pair:
    """Sums and normalises over axis 1, where the codes are if there is one batch axis."""
    joint = log_joint(x, log_prior, decoder_logits)
    axis = min(1, joint.dim() - 1)
    return joint.logsumexp(axis), joint.log_softmax(axis)


def moved(part: int, change: Callable[[Tensor], Tensor]) -> Callable[..., Pair]:
    """A variant that changes one of the right results."""

    def variant(*arguments: Tensor) -> Pair:
        parts = list(marginal_and_posterior(*arguments))
        parts[part] = change(parts[part])
        return tuple(parts)

    return variant


oracle(
    "marginal-and-posterior",
    reference=pair_in_double(by_distributions),
    right={
        "matrix product": marginal_and_posterior,
        "binary cross-entropy with logits": by_cross_entropy,
        "a loop over the codes": code_by_code,
        "distributions": by_distributions,
        "image by image": image_by_image,
        "einsum": lambda x, log_prior, decoder_logits: both(
            log_prior
            + torch.einsum("...d,kd->...k", x, F.logsigmoid(decoder_logits))
            + torch.einsum("...d,kd->...k", 1 - x, F.logsigmoid(-decoder_logits))
        ),
        "the posterior by log_softmax, the marginal by Bayes' rule": by_bayes(
            lambda joint: ((joint - joint.log_softmax(-1))[..., 0], joint.log_softmax(-1))
        ),
    },
    wrong={
        "the prior was forgotten": by_bayes(both, lambda x, log_prior, logits: log_joint(x, 0 * log_prior, logits)),
        "the prior was taken for uniform": by_bayes(
            both, lambda x, log_prior, logits: log_joint(x, 0 * log_prior - math.log(len(log_prior)), logits)
        ),
        "the prior is missing from the posterior, which is p(x|z) normalised": lambda x, log_prior, logits: (
            marginal_and_posterior(x, log_prior, logits)[0],
            log_joint(x, 0 * log_prior, logits).log_softmax(-1),
        ),
        "the prior is missing from the marginal": lambda x, log_prior, logits: (
            log_joint(x, 0 * log_prior, logits).logsumexp(-1),
            marginal_and_posterior(x, log_prior, logits)[1],
        ),
        "probabilities of the codes were added to log p(x|z); add their logarithms": by_bayes(
            both, lambda x, log_prior, logits: log_joint(x, log_prior.exp(), logits)
        ),
        "a logarithm was taken of log_prior, which is one already": by_bayes(
            both, lambda x, log_prior, logits: log_joint(x, log_prior.log(), logits)
        ),
        "the probabilities themselves were formed, and exp underflows; stay with the logarithms and logsumexp": (
            by_bayes(lambda joint: (joint.exp().sum(-1).log(), (joint.exp() / joint.exp().sum(-1, True)).log()))
        ),
        "exp underflows in the marginal; take logsumexp": by_bayes(
            lambda joint: (joint.exp().sum(-1).log(), joint.log_softmax(-1))
        ),
        "exp underflows in log p(x), and the posterior is made of it; take logsumexp": by_bayes(
            lambda joint: (joint.exp().sum(-1).log(), joint - joint.exp().sum(-1, keepdim=True).log())
        ),
        "a small constant hides that exp underflows; take logsumexp": by_bayes(
            lambda joint: ((joint.exp().sum(-1) + 1e-10).log(), joint.log_softmax(-1))
        ),
        "the posterior went through a softmax and then a log; take log_softmax": by_bayes(
            lambda joint: (joint.logsumexp(-1), joint.softmax(-1).log())
        ),
        "these are posterior probabilities; their logarithms are wanted": by_bayes(
            lambda joint: (joint.logsumexp(-1), joint.softmax(-1))
        ),
        "this is p(x); its logarithm is wanted": moved(0, Tensor.exp),
        "the posterior is not normalised: this is log p(x, z); subtract log p(x)": by_bayes(
            lambda joint: (joint.logsumexp(-1), joint)
        ),
        "the prior counts twice in the posterior": lambda x, log_prior, logits: (
            marginal_and_posterior(x, log_prior, logits)[0],
            marginal_and_posterior(x, log_prior, logits)[1] + log_prior,
        ),
        "the posterior was divided by log p(x); subtract it": by_bayes(
            lambda joint: (joint.logsumexp(-1), joint / joint.logsumexp(-1, keepdim=True))
        ),
        "this is log p(x|z) where the posterior belongs": lambda x, log_prior, logits: (
            marginal_and_posterior(x, log_prior, logits)[0],
            log_joint(x, 0 * log_prior, logits),
        ),
        "this is the prior where the posterior belongs; it depends on x": lambda x, log_prior, logits: (
            marginal_and_posterior(x, log_prior, logits)[0],
            log_prior.expand(*x.shape[:-1], -1).clone(),
        ),
        "averaged over the codes; the prior already weighs them": by_bayes(
            lambda joint: (joint.logsumexp(-1) - math.log(joint.shape[-1]), joint.log_softmax(-1))
        ),
        "this is the average of log p(x|z) under the prior, a lower bound of log p(x)": lambda x, log_prior, logits: (
            (log_prior.exp() * log_joint(x, 0 * log_prior, logits)).sum(-1),
            marginal_and_posterior(x, log_prior, logits)[1],
        ),
        "the best code was taken instead of the sum over all": by_bayes(
            lambda joint: (joint.max(-1).values, joint.log_softmax(-1))
        ),
        "the logarithms of all codes were added up; add the probabilities, by logsumexp": by_bayes(
            lambda joint: (joint.sum(-1), joint.log_softmax(-1))
        ),
        "averaged over the pixels; a log-likelihood sums over them": by_bayes(
            both, lambda x, log_prior, logits: log_prior + pixel_log_probs(x, logits).mean(-1)
        ),
        "the sign of the cross-entropy was kept: log p(x|z) is minus it": by_bayes(
            both, lambda x, log_prior, logits: log_prior - pixel_log_probs(x, logits).sum(-1)
        ),
        "the pixels that are 0 are missing; they have a likelihood too": by_bayes(
            both, lambda x, log_prior, logits: log_prior + (x[..., None, :] * F.logsigmoid(logits)).sum(-1)
        ),
        "the pixels that are 1 are missing; they have a likelihood too": by_bayes(
            both, lambda x, log_prior, logits: log_prior + ((1 - x[..., None, :]) * F.logsigmoid(-logits)).sum(-1)
        ),
        "the roles of 0 and 1 are exchanged": lambda x, log_prior, logits: marginal_and_posterior(
            1 - x, log_prior, logits
        ),
        "x · logits alone; subtract softplus(logits), which normalises": by_bayes(
            both, lambda x, log_prior, logits: log_prior + x @ logits.T
        ),
        "decoder_logits were read as probabilities": by_bayes(
            both,
            lambda x, log_prior, logits: (
                log_prior + (x[..., None, :] * logits.log() + (1 - x[..., None, :]) * (1 - logits).log()).sum(-1)
            ),
        ),
        "a sigmoid was taken before a likelihood that expects logits": lambda x, log_prior, logits: (
            marginal_and_posterior(x, log_prior, logits.sigmoid())
        ),
        "the logits went through a sigmoid and then a log, which breaks for confident pixels": by_bayes(
            both,
            lambda x, log_prior, logits: (
                log_prior + torch.where(x[..., None, :] > 0, logits.sigmoid(), 1 - logits.sigmoid()).log().sum(-1)
            ),
        ),
        "the pixels' probabilities were clipped, which breaks for confident pixels": by_bayes(
            both,
            lambda x, log_prior, logits: (
                log_prior
                + torch.where(x[..., None, :] > 0, logits.sigmoid(), 1 - logits.sigmoid()).clamp(1e-7).log().sum(-1)
            ),
        ),
        "the logits became probabilities, which td.Bernoulli clips for confident pixels; pass it the logits": by_bayes(
            both,
            lambda x, log_prior, logits: (
                log_prior + td.Independent(td.Bernoulli(logits.sigmoid()), 1).log_prob(x[..., None, :])
            ),
        ),
        "the logits were clamped; they are right up to ±1000": lambda x, log_prior, logits: marginal_and_posterior(
            x, log_prior, logits.clamp(-15, 15)
        ),
        "squared error is not the likelihood of a Bernoulli": by_bayes(
            both,
            lambda x, log_prior, logits: log_prior - (x[..., None, :] - logits.sigmoid()).square().sum(-1),
        ),
        "raised RuntimeError at `joint = log_prior + (pixels": first_axis_only,
        "the codes were taken for axis 1; with two batch axes they are the last": codes_on_axis_1,
        "the posterior was normalised over the first axis; normalise over the codes, the last": by_bayes(
            lambda joint: (joint.logsumexp(-1), joint.log_softmax(0))
        ),
        "the codes are the first axis of the posterior; put them last": moved(1, lambda part: part.movedim(-1, 0)),
        "averaged over the batch; one value for each image is wanted": moved(0, Tensor.mean),
        "summed over the batch; one value for each image is wanted": moved(0, Tensor.sum),
        "log_p_x has an axis of length 1 left": moved(0, lambda part: part.unsqueeze(-1)),
        "the batch axes were flattened; keep them": lambda x, log_prior, logits: tuple(
            part.flatten(0, -2 + k) if x.dim() > 2 else part
            for k, part in zip((1, 0), marginal_and_posterior(x, log_prior, logits), strict=True)
        ),
        "the two results are exchanged": lambda *arguments: marginal_and_posterior(*arguments)[::-1],
        "the sign is wrong: this is −log p(x)": moved(0, Tensor.neg),
        "no gradient reaches the prior and the decoder": moved(0, Tensor.detach),
        "no gradient reaches the decoder through log_p_x: its logits were detached": lambda x, log_prior, logits: (
            marginal_and_posterior(x, log_prior, logits.detach())
        ),
        "no gradient reaches the prior through log_p_x: it was detached": lambda x, log_prior, logits: (
            marginal_and_posterior(x, log_prior.detach(), logits)
        ),
        "returned a Tensor": lambda *arguments: marginal_and_posterior(*arguments)[0],
        "float32; it should be float64": lambda *arguments: tuple(
            part.float() for part in marginal_and_posterior(*arguments)
        ),
    },
    exact=False,
)


oracle(
    "naive-bound",
    reference=lambda log_likelihoods: log_likelihoods.sum(0) / len(log_likelihoods),
    right={
        "mean": lambda log_likelihoods: log_likelihoods.mean(0),
        "a loop over the samples": lambda log_likelihoods: sum(row / len(log_likelihoods) for row in log_likelihoods),
        "einsum": lambda log_likelihoods: torch.einsum("sb->b", log_likelihoods) / log_likelihoods.size(0),
        "observation by observation": lambda log_likelihoods: torch.stack(
            [torch.mean(column) for column in log_likelihoods.unbind(1)]
        ),
    },
    wrong={
        "this is the logarithm of the mean likelihood; the naive bound averages logarithms": (
            lambda log_likelihoods: log_likelihoods.logsumexp(0) - math.log(len(log_likelihoods))
        ),
        "logsumexp adds up likelihoods; the naive bound averages their logarithms": (
            lambda log_likelihoods: log_likelihoods.logsumexp(0)
        ),
        "this is the logarithm of the mean likelihood": (lambda log_likelihoods: log_likelihoods.exp().mean(0).log()),
        "the mean likelihood is not in nats; average the logarithms": lambda log_likelihoods: (
            log_likelihoods.exp().mean(0)
        ),
        "summed over the samples; average over them": lambda log_likelihoods: log_likelihoods.sum(0),
        "averaged over the observations, axis 1; the samples are axis 0": lambda log_likelihoods: log_likelihoods.mean(
            1
        ),
        "averaged over samples and observations; one bound an observation is wanted": lambda log_likelihoods: (
            log_likelihoods.mean()
        ),
        "divided by the number of observations; S is the length of axis 0": lambda log_likelihoods: (
            log_likelihoods.sum(0) / log_likelihoods.shape[1]
        ),
        "divided by S − 1; a mean divides by S": lambda log_likelihoods: (
            log_likelihoods.sum(0) / max(len(log_likelihoods) - 1, 1)
        ),
        "log S was subtracted; a mean of logarithms needs no such term": lambda log_likelihoods: (
            log_likelihoods.mean(0) - math.log(len(log_likelihoods))
        ),
        "the median was taken; take the mean": lambda log_likelihoods: log_likelihoods.median(0).values,
        "the best sample was taken; average over all": lambda log_likelihoods: log_likelihoods.max(0).values,
        "only the first sample was used": lambda log_likelihoods: log_likelihoods[0],
        "the sign is wrong: this is the negative bound": lambda log_likelihoods: -log_likelihoods.mean(0),
        "left one value for each sample; average over them": lambda log_likelihoods: log_likelihoods.clone(),
        "kept the sample axis": lambda log_likelihoods: log_likelihoods.mean(0, keepdim=True),
        "the samples were weighted by their likelihood; samples of the prior weigh alike": lambda log_likelihoods: (
            log_likelihoods.softmax(0) * log_likelihoods
        ).sum(0),
        "no gradient reaches the log-likelihoods": lambda log_likelihoods: log_likelihoods.mean(0).detach(),
        "returned a float": lambda log_likelihoods: log_likelihoods.mean().item(),
    },
)


class CentredReward(nn.Module):
    """A moving average of rewards, subtracted; each flaw that a student may build in is a method of its own."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("m", torch.zeros(()))

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        centred = self.centred(reward)
        self.m = self.updated(reward.detach())
        return centred, torch.zeros_like(reward)

    def centred(self, reward: Tensor) -> Tensor:
        return reward - self.m

    def updated(self, reward: Tensor) -> Tensor:
        return self.decay * self.m + (1 - self.decay) * reward.mean()


class CentredInPlace(nn.Module):
    """The update in place, under no_grad, by lerp."""

    def __init__(self, decay):
        super().__init__()
        self.decay = decay
        self.register_buffer("average", torch.zeros(1))

    def forward(self, reward, x=None):
        modified = reward - self.average.to(reward.dtype)
        with torch.no_grad():
            self.average.lerp_(reward.mean().float(), 1 - self.decay)
        return modified, reward.new_zeros(reward.shape)


class CentredByExtraState(nn.Module):
    """A Python float, saved by get_extra_state."""

    def __init__(self, decay: float):
        super().__init__()
        self.decay, self.m = decay, 0.0

    def get_extra_state(self):
        return {"m": self.m}

    def set_extra_state(self, state):
        self.m = state["m"]

    def forward(self, reward: Tensor, x: Tensor | None = None) -> list[Tensor]:
        before, self.m = self.m, self.m + (1 - self.decay) * (reward.mean().item() - self.m)
        return [reward - before, 0 * reward.detach()]


class CentredByParameter(CentredReward):
    """A parameter that no gradient reaches."""

    def __init__(self, decay: float):
        super().__init__(decay)
        del self.m
        self.m = nn.Parameter(torch.zeros(()), requires_grad=False)

    @torch.no_grad()
    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        centred = reward - self.m
        self.m.mul_(self.decay).add_((1 - self.decay) * reward.mean())
        return centred, torch.zeros(reward.shape)


class CentredInTraining(CentredReward):
    """An average that stands still in eval mode."""

    def updated(self, reward: Tensor) -> Tensor:
        return super().updated(reward) if self.training else self.m


class CentredWithoutModules:
    """Nothing of torch.nn, but a state_dict all the same."""

    def __init__(self, decay: float):
        self.decay, self.m = decay, torch.tensor(0.0)

    def state_dict(self):
        return {"m": self.m.clone()}

    def load_state_dict(self, state):
        self.m = state["m"].clone()

    def __call__(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = reward - self.m
        self.m = self.decay * self.m + (1 - self.decay) * reward.detach().mean()
        return modified, torch.zeros_like(reward)


def centred(
    update: Callable[[CentredReward, Tensor], Tensor] = CentredReward.updated,
    use: Callable[[CentredReward, Tensor], Tensor] = CentredReward.centred,
) -> type[CentredReward]:
    """CentredReward with another update, or another use of what it keeps."""
    return type("CentredReward", (CentredReward,), {"updated": update, "centred": use})


def returning(change: Callable[[Tensor, Tensor], object], base: type[nn.Module]) -> type[nn.Module]:
    """A control variate that returns something else, made of its new rewards and its loss."""

    class Changed(base):
        def forward(self, reward: Tensor, x: Tensor | None = None) -> object:
            return change(*super().forward(reward, x))

    return Changed


class UpdatedFirst(CentredReward):
    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        self.m = self.updated(reward.detach())
        return reward - self.m, torch.zeros_like(reward)


class PlainAttribute(CentredReward):
    """No buffer: state_dict is empty."""

    def __init__(self, decay: float):
        super().__init__(decay)
        del self.m
        self.m = torch.zeros(())


class NotPersistent(CentredReward):
    def __init__(self, decay: float):
        super().__init__(decay)
        self.register_buffer("m", torch.zeros(()), persistent=False)


class OneForAll(CentredReward):
    """The average belongs to the class."""

    average = torch.zeros(())

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = reward - self.average
        self.average.mul_(self.decay).add_((1 - self.decay) * reward.detach().mean())
        return modified, torch.zeros_like(reward)


class SharedAfterLoading(CentredReward):
    """Extra state handed out by reference and changed in place."""

    def __init__(self, decay: float):
        super().__init__(decay)
        del self.m
        self.kept = {"m": 0.0}

    def get_extra_state(self):
        return self.kept

    def set_extra_state(self, state):
        self.kept = state

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = reward - self.kept["m"]
        self.kept["m"] = self.decay * self.kept["m"] + (1 - self.decay) * float(reward.mean())
        return modified, torch.zeros_like(reward)


class WithGraph(CentredReward):
    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = reward - self.m
        self.m = self.updated(reward)
        return modified, torch.zeros_like(reward)


class MadeLate(nn.Module):
    """The average is registered by the first batch, so that a new one does not know it."""

    def __init__(self, decay: float):
        super().__init__()
        self.decay = decay

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        if not hasattr(self, "m"):
            self.register_buffer("m", torch.zeros(()))
        modified = reward - self.m
        self.m = self.decay * self.m + (1 - self.decay) * reward.detach().mean()
        return modified, torch.zeros_like(reward)


class FromFirstBatch(CentredReward):
    """Starts with the mean of the first batch, before or after it was used."""

    before = True

    def __init__(self, decay: float):
        super().__init__(decay)
        self.register_buffer("started", torch.tensor(False))

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        old = self.m
        if not self.started:
            self.m = reward.detach().mean()
            modified = reward - (self.m if self.before else old)
            self.started = torch.tensor(True)
            return modified, torch.zeros_like(reward)
        return super().forward(reward, x)


class AfterFirstBatch(FromFirstBatch):
    before = False


class Cumulative(CentredReward):
    def __init__(self, decay: float):
        super().__init__(decay)
        self.register_buffer("count", torch.tensor(0.0))

    def updated(self, reward: Tensor) -> Tensor:
        self.count = self.count + 1
        return self.m + (reward.mean() - self.m) / self.count


class Corrected(Cumulative):
    """Divided by 1 − decay^t, as Adam does."""

    def centred(self, reward: Tensor) -> Tensor:
        return reward - self.m / (1 - self.decay**self.count).clamp(min=1e-12)

    def updated(self, reward: Tensor) -> Tensor:
        self.count = self.count + 1
        return CentredReward.updated(self, reward)


class InPlace(CentredReward):
    def centred(self, reward: Tensor) -> Tensor:
        reward -= self.m
        return reward


class OnePerPlace(CentredReward):
    """An average for each place in the batch."""

    def updated(self, reward: Tensor) -> Tensor:
        return self.decay * self.m + (1 - self.decay) * reward


class LearnedAverage(CentredReward):
    """A parameter that requires gradients, updated like an average."""

    def __init__(self, decay: float):
        super().__init__(decay)
        del self.m
        self.m = nn.Parameter(torch.zeros(()))

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = reward - self.m.detach().clone() + 0 * self.m
        self.m.data = self.updated(reward.detach()).data
        return modified, torch.zeros_like(reward)


class NotAModule:
    def __init__(self, decay: float):
        self.decay, self.m = decay, 0.0

    def __call__(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = reward - self.m
        self.m = self.decay * self.m + (1 - self.decay) * float(reward.mean())
        return modified, torch.zeros_like(reward)


def as_a_function(decay: float) -> Callable[..., Pair]:
    """A closure instead of a class."""
    m = 0.0

    def control_variate(reward: Tensor, x: Tensor | None = None) -> Pair:
        nonlocal m
        modified = reward - m
        m = decay * m + (1 - decay) * float(reward.mean())
        return modified, torch.zeros_like(reward)

    return control_variate


class WithoutX(CentredReward):
    def forward(self, reward: Tensor) -> Pair:
        return super().forward(reward)


class RewardByReward(CentredReward):
    """An average that moves within a batch."""

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = []
        for one in reward.detach():
            modified.append(one - self.m)
            self.m = self.decay * self.m + (1 - self.decay) * one
        return torch.stack(modified), torch.zeros_like(reward)


FORGETS = "forgets what it has seen when it is saved and loaded"

oracle(
    "centred-reward",
    reference=CentredReward,
    right={
        "lerp_, in place": CentredInPlace,
        "a float as extra state, a list returned": CentredByExtraState,
        "a parameter without gradients": CentredByParameter,
        "stands still in eval mode": CentredInTraining,
        "no module, but with a state_dict": CentredWithoutModules,
        "no detach, for rewards come detached": WithGraph,
    },
    wrong={
        "m had already seen this batch, which shrinks the gradient; subtract first, update then": UpdatedFirst,
        "decay is on the wrong side: it weighs the old m, and 1 − decay the new mean": centred(
            lambda self, reward: (1 - self.decay) * self.m + self.decay * reward.mean()
        ),
        "the mean of this very batch was subtracted; m is what earlier batches had": centred(
            use=lambda self, reward: reward - reward.mean()
        ),
        "only the batch before counts; m is a running average": centred(lambda self, reward: reward.mean()),
        "the batch before was weighed, and all earlier ones forgotten": centred(
            lambda self, reward: (1 - self.decay) * reward.mean()
        ),
        "1 − decay is missing before the new mean": centred(lambda self, reward: self.decay * self.m + reward.mean()),
        "decay is missing before the old m": centred(lambda self, reward: self.m + (1 - self.decay) * reward.mean()),
        "decay was taken for both sides": centred(
            lambda self, reward: self.decay * self.m + self.decay * reward.mean()
        ),
        "decay was ignored; it is always 0.9": centred(lambda self, reward: 0.9 * self.m + 0.1 * reward.mean()),
        "m starts with the mean of the first batch, which was subtracted from it; m starts at 0": FromFirstBatch,
        "m is set to the mean of the first batch; it starts at 0 and moves there": AfterFirstBatch,
        "all batches count alike; decay says how soon old ones are forgotten": Cumulative,
        "m was divided by 1 − decay^t; it starts at 0 and is used as it is": Corrected,
        "m was added; subtract it": centred(use=lambda self, reward: reward + self.m),
        "the sign is wrong: this is m − reward": centred(use=lambda self, reward: self.m - reward),
        "the reward was divided by m; subtract it": centred(
            use=lambda self, reward: torch.where(self.m == 0, reward, reward / self.m)
        ),
        "nothing was subtracted: m never moves, or never reaches the reward": centred(
            use=lambda self, reward: reward.clone()
        ),
        "nothing was subtracted: m never moves": centred(lambda self, reward: self.m),
        "summed over the batch; m averages the means": centred(
            lambda self, reward: self.decay * self.m + (1 - self.decay) * reward.sum()
        ),
        "the median of the batch was taken; take its mean": centred(
            lambda self, reward: self.decay * self.m + (1 - self.decay) * reward.median()
        ),
        "only the first reward of a batch was used; take the mean of all": centred(
            lambda self, reward: self.decay * self.m + (1 - self.decay) * reward[0]
        ),
        "m moves with every reward; it moves once a batch, by the batch's mean": RewardByReward,
        "m saw the rewards after m was subtracted; it sees them as they come": centred(
            lambda self, reward: self.decay * self.m + (1 - self.decay) * (reward - self.m).mean()
        ),
        "the rewards were divided by their spread, too; centring subtracts and no more": centred(
            use=lambda self, reward: (reward - self.m) / reward.std(correction=0).clamp(min=1e-6)
        ),
        "raised RuntimeError": OnePerPlace,
        "the loss has no axis; a 0 for each reward is wanted": returning(
            lambda reward, loss: (reward, loss.sum()), CentredReward
        ),
        "this is the loss of a learned baseline; nothing is learned here, so it is 0": returning(
            lambda reward, loss: (reward, reward.detach() ** 2), CentredReward
        ),
        "left an axis of length 1 after the batch": returning(
            lambda reward, loss: (reward[:, None], loss), CentredReward
        ),
        "averaged over the batch; one reward for each observation is wanted": returning(
            lambda reward, loss: (reward.mean(), loss), CentredReward
        ),
        "the rewards became float32": returning(lambda reward, loss: (reward.float(), loss), CentredReward),
        "returned an int as loss": returning(lambda reward, loss: (reward, 0), CentredReward),
        "returned None as loss": returning(lambda reward, loss: (reward, None), CentredReward),
        "returned a Tensor of shape": returning(lambda reward, loss: reward, CentredReward),
        "the two results are exchanged": returning(lambda reward, loss: (loss, reward), CentredReward),
        "changed its argument `reward` in place": InPlace,
        "its state is a parameter that requires gradients": LearnedAverage,
        FORGETS: PlainAttribute,
        "forgets what it has seen when it is saved and loaded: state_dict carries buffers": NotPersistent,
        "two of them share their state": OneForAll,
        "shares its state with a copy that loaded its state_dict": SharedAfterLoading,
        "could not be loaded from its state_dict": MadeLate,
        "has no state_dict, in which its state is saved with the model": NotAModule,
        "has no state_dict": as_a_function,
        "takes 2 positional arguments but 3 were given": WithoutX,
    },
    exact=False,
)


class ScaledReward(nn.Module):
    """Rewards divided by a running standard deviation, but never by less than 1."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("s", torch.ones(()))

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        scaled = self.scaled(reward)
        self.s = self.updated(reward.detach())
        return scaled, torch.zeros_like(reward)

    def scaled(self, reward: Tensor) -> Tensor:
        return reward / self.s.clamp(min=1)

    def updated(self, reward: Tensor) -> Tensor:
        return self.decay * self.s + (1 - self.decay) * self.spread(reward)

    def spread(self, reward: Tensor) -> Tensor:
        return reward.std(correction=0)


class RootOfRunningVariance(nn.Module):
    """The usual correction, a batch of one left out, and the root taken at the end."""

    def __init__(self, decay: float):
        super().__init__()
        self.decay = decay
        self.register_buffer("variance", torch.ones(1))

    def forward(self, reward, x=None):
        scale = torch.maximum(self.variance.sqrt(), torch.ones(1)).to(reward)
        if reward.numel() > 1:
            with torch.no_grad():
                self.variance.mul_(self.decay).add_((1 - self.decay) * reward.var().float())
        return reward / scale, reward.new_zeros(len(reward))


class FloorKept(ScaledReward):
    """NaN for a batch of one counted as 0, and the floor in the state."""

    def scaled(self, reward: Tensor) -> Tensor:
        return reward / self.s

    def updated(self, reward: Tensor) -> Tensor:
        return super().updated(reward).clamp(min=1.0)

    def spread(self, reward: Tensor) -> Tensor:
        return reward.std().nan_to_num(0.0)


class ScaledByExtraState(nn.Module):
    """Python floats."""

    def __init__(self, decay: float):
        super().__init__()
        self.decay, self.s = decay, 1.0

    def get_extra_state(self):
        return torch.tensor(self.s)

    def set_extra_state(self, state):
        self.s = float(state)

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        before = max(1.0, self.s)
        mean = sum(reward.tolist()) / len(reward)
        self.s = self.decay * self.s + (1 - self.decay) * math.sqrt(
            sum((r - mean) ** 2 for r in reward.tolist()) / len(reward)
        )
        return reward / before, torch.zeros(len(reward))


class SingleLeftOut(ScaledReward):
    def updated(self, reward: Tensor) -> Tensor:
        return self.s if len(reward) < 2 else super().updated(reward)


class ByMoments(ScaledReward):
    def spread(self, reward: Tensor) -> Tensor:
        return (reward.double().square().mean() - reward.double().mean() ** 2).clamp(min=0).sqrt().to(reward.dtype)


def scaled(
    update: Callable[[ScaledReward, Tensor], Tensor] = ScaledReward.updated,
    use: Callable[[ScaledReward, Tensor], Tensor] = ScaledReward.scaled,
    spread: Callable[[ScaledReward, Tensor], Tensor] = ScaledReward.spread,
    start: float = 1.0,
) -> type[ScaledReward]:
    """ScaledReward with another update, another use of what it keeps, another spread or another start."""

    class Other(ScaledReward):
        def __init__(self, decay: float):
            super().__init__(decay)
            self.s.fill_(start)

    return type("ScaledReward", (Other,), {"updated": update, "scaled": use, "spread": spread})


class ScaledAfterUpdate(ScaledReward):
    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        self.s = self.updated(reward.detach())
        return self.scaled(reward), torch.zeros_like(reward)


class ScaledByItself(ScaledReward):
    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        return reward / self.spread(reward).clamp(min=1), torch.zeros_like(reward)


class ScaledWithGraph(ScaledReward):
    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = self.scaled(reward)
        self.s = self.updated(reward)
        return modified, torch.zeros_like(reward)


class LearnedScale(ScaledReward):
    def __init__(self, decay: float):
        super().__init__(decay)
        del self.s
        self.s = nn.Parameter(torch.ones(()))

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = self.scaled(reward) + 0 * self.s
        self.s.data = self.updated(reward.detach()).data
        return modified, torch.zeros_like(reward)


class ScaledPlainAttribute(ScaledReward):
    def __init__(self, decay: float):
        super().__init__(decay)
        del self.s
        self.s = torch.ones(())


class ScaledInPlace(ScaledReward):
    def scaled(self, reward: Tensor) -> Tensor:
        reward /= self.s.clamp(min=1)
        return reward


class ScaledOneForAll(ScaledReward):
    """A buffer that all of them are given."""

    one = torch.ones(())

    def __init__(self, decay: float):
        super().__init__(decay)
        ScaledOneForAll.one.fill_(1.0)
        self.s = ScaledOneForAll.one

    def forward(self, reward: Tensor, x: Tensor | None = None) -> Pair:
        modified = self.scaled(reward)
        ScaledOneForAll.one.copy_(self.updated(reward.detach()))
        return modified, torch.zeros_like(reward)


class ScaledCumulatively(ScaledReward):
    def __init__(self, decay: float):
        super().__init__(decay)
        self.register_buffer("count", torch.tensor(0.0))

    def updated(self, reward: Tensor) -> Tensor:
        self.count = self.count + 1
        return self.s + (self.spread(reward) - self.s) / self.count


class ScaledFromFirstBatch(ScaledReward):
    def __init__(self, decay: float):
        super().__init__(decay)
        self.register_buffer("started", torch.tensor(False))

    def updated(self, reward: Tensor) -> Tensor:
        started, self.started = self.started, torch.tensor(True)
        return super().updated(reward) if started else self.spread(reward)


oracle(
    "scaled-reward",
    reference=ScaledReward,
    right={
        "the root of a running variance, a batch of one left out": RootOfRunningVariance,
        "the floor kept in the state, NaN counted as 0": FloorKept,
        "floats and sums": ScaledByExtraState,
        "a batch of one left out": SingleLeftOut,
        "mean square less squared mean": ByMoments,
        "no detach, for rewards come detached": ScaledWithGraph,
        "a maximum": scaled(use=lambda self, reward: reward / torch.maximum(self.s, torch.tensor(1.0))),
    },
    wrong={
        "s had already seen the batch that it divides; divide first, update then": ScaledAfterUpdate,
        "decay is on the wrong side: it weighs the old s, and 1 − decay the new batch": scaled(
            lambda self, reward: (1 - self.decay) * self.s + self.decay * self.spread(reward)
        ),
        "1 − decay is missing before the new standard deviation": scaled(
            lambda self, reward: self.decay * self.s + self.spread(reward)
        ),
        "the floor is missing: where s is below 1, dividing by it makes rewards louder": scaled(
            use=lambda self, reward: reward / self.s
        ),
        "divided by min(1, s); the floor is max(1, s)": scaled(use=lambda self, reward: reward / self.s.clamp(max=1)),
        "divided by 1 + s; the floor is max(1, s)": scaled(use=lambda self, reward: reward / (1 + self.s)),
        "multiplied by the scale; divide": scaled(use=lambda self, reward: reward * self.s.clamp(min=1)),
        "divided by the root of s, which is a standard deviation already": scaled(
            use=lambda self, reward: reward / self.s.clamp(min=1).sqrt()
        ),
        "divided by s²; divide by s": scaled(use=lambda self, reward: reward / self.s.clamp(min=1) ** 2),
        "never divided: s does not change": scaled(lambda self, reward: self.s),
        "s starts at 0; it starts at 1": scaled(start=0.0),
        "s starts with the spread of the first batch; it starts at 1": ScaledFromFirstBatch,
        "divided by the standard deviation of the batch itself; s is what earlier batches had": ScaledByItself,
        "only the batch before counts; s is a running average": scaled(lambda self, reward: self.spread(reward)),
        "all batches count alike; decay says how soon old ones are forgotten": ScaledCumulatively,
        "s is the largest spread so far; it is a running average": scaled(
            lambda self, reward: torch.maximum(self.s, self.spread(reward))
        ),
        "this keeps the variance; take its root before you divide": scaled(
            spread=lambda self, reward: reward.var(correction=0)
        ),
        "this is the root of the mean square; subtract the mean first": scaled(
            spread=lambda self, reward: reward.square().mean().sqrt()
        ),
        "this is the mean of |reward|; take the standard deviation": scaled(
            spread=lambda self, reward: reward.abs().mean()
        ),
        "this is the mean distance from the mean; take the standard deviation": scaled(
            spread=lambda self, reward: (reward - reward.mean()).abs().mean()
        ),
        "this is the range; take the standard deviation": scaled(
            spread=lambda self, reward: reward.max() - reward.min()
        ),
        "this is the largest |reward|; take the standard deviation": scaled(
            spread=lambda self, reward: reward.abs().max()
        ),
        "s saw the rewards after they were divided; it sees them as they come": scaled(
            lambda self, reward: self.decay * self.s + (1 - self.decay) * self.spread(reward / self.s.clamp(min=1))
        ),
        "is nan; the standard deviation of a batch of one is 0": scaled(spread=lambda self, reward: reward.std()),
        "scaling divides and no more": scaled(use=lambda self, reward: (reward - reward.mean()) / self.s.clamp(min=1)),
        "is not the reward divided by one number": scaled(
            use=lambda self, reward: reward.sign() * reward.abs().sqrt() / self.s.clamp(min=1)
        ),
        "were divided by": scaled(use=lambda self, reward: reward / (1 + 0.1 * self.s)),
        "is 0": returning(lambda reward, loss: (0 * reward, loss), ScaledReward),
        "the loss has shape ()": returning(lambda reward, loss: (reward, loss.sum()), ScaledReward),
        "nothing is learned here, so it is 0 for each reward": returning(
            lambda reward, loss: (reward, loss + 1), ScaledReward
        ),
        "modified reward of batch 1 has shape": returning(lambda reward, loss: (reward[None], loss), ScaledReward),
        "is torch.float32; it should be torch.float64": returning(
            lambda reward, loss: (reward.float(), loss), ScaledReward
        ),
        "returned None as loss": returning(lambda reward, loss: (reward, None), ScaledReward),
        "returned a Tensor of shape": returning(lambda reward, loss: reward, ScaledReward),
        "changed its argument `reward` in place": ScaledInPlace,
        "its state is a parameter that requires gradients": LearnedScale,
        FORGETS: ScaledPlainAttribute,
        "two of them share their state": ScaledOneForAll,
    },
    exact=False,
)


def baseline_advantage(baseline, reward, x):
    error = reward.detach() - baseline(x).squeeze(1)
    return error.detach(), error**2


def two_passes(baseline, reward, x):
    """One pass without a graph, one with it."""
    with torch.no_grad():
        advantage = reward - baseline(x)[:, 0]
    return advantage, F.mse_loss(baseline(x)[:, 0], reward.detach(), reduction="none")


def by_flattening(baseline, reward, x):
    guess = baseline(x).view(-1)
    return reward - guess.detach(), (guess - reward.detach()).square()


def by_column(baseline, reward, x):
    guesses, targets = baseline(x), reward.detach()[:, None]
    losses = nn.MSELoss(reduction="none")(guesses, targets)
    return (targets - guesses.data).squeeze(-1), losses.sum(dim=1)


def with_parts(combine: Callable[[Tensor, Tensor], object]) -> Callable[..., object]:
    """A variant made of the reward and the baseline's values, both of shape (batch,)."""
    return lambda baseline, reward, x: combine(reward, baseline(x).squeeze(1))


def in_eval_mode(baseline, reward, x):
    return baseline_advantage(baseline.eval(), reward, x)


def stepped(baseline, reward, x):
    advantage, loss = baseline_advantage(baseline, reward, x)
    found = torch.autograd.grad(loss.mean(), list(baseline.parameters()), retain_graph=True)
    with torch.no_grad():
        for weight, gradient in zip(baseline.parameters(), found, strict=True):
            weight.data = weight.data - 0.1 * gradient
    return advantage, loss


def backwards(baseline, reward, x):
    advantage, loss = baseline_advantage(baseline, reward, x)
    loss.mean().backward(retain_graph=True)
    return advantage, loss


def frozen(baseline, reward, x):
    guess = baseline.requires_grad_(False)(x).squeeze(1)
    return reward - guess, (reward.detach() - guess) ** 2


def by_squeezed_items(baseline, reward, x):
    """squeeze() takes the batch axis of one observation, too."""
    errors = torch.stack([r - guess for r, guess in zip(reward.detach(), baseline(x).squeeze(), strict=True)])
    return errors.detach(), errors**2


def broadcast(baseline, reward, x):
    error = reward.detach() - baseline(x)
    return error.detach(), error**2


oracle(
    "learned-baseline",
    reference=baseline_advantage,
    right={
        "two passes and mse_loss": two_passes,
        "view": by_flattening,
        "a column of targets, a list of data": by_column,
        "the baseline asked for one observation at a time": lambda baseline, reward, x: baseline_advantage(
            lambda inputs: torch.cat([baseline(one[None]) for one in inputs]), reward, x
        ),
        "huber_loss is no square, but twice a half square is": with_parts(
            lambda reward, guess: (reward - guess.detach(), 2 * (0.5 * (guess - reward.detach()) ** 2))
        ),
    },
    wrong={
        "the baseline's axis of length 1 was left, and broadcasting made a square of it; squeeze it": broadcast,
        "broadcasting made a square of rewards and baseline, and a mean hides it; squeeze the baseline's last axis": (
            lambda baseline, reward, x: tuple(part.mean(0) for part in broadcast(baseline, reward, x))
        ),
        "broadcasting made a square of rewards and baseline, and a mean over its rows hides it; squeeze the baseline": (
            lambda baseline, reward, x: tuple(part.mean(1) for part in broadcast(baseline, reward, x))
        ),
        "broadcasting made a square of rewards and baseline, and a sum hides it; squeeze the baseline's last axis": (
            lambda baseline, reward, x: tuple(part.sum(0) for part in broadcast(baseline, reward, x))
        ),
        "iteration over a 0-d tensor": by_squeezed_items,
        "left an axis of length 1 after the batch": lambda baseline, reward, x: tuple(
            part[:, None] for part in baseline_advantage(baseline, reward, x)
        ),
        "the advantage sends a gradient into the baseline: detach what is subtracted": with_parts(
            lambda reward, guess: (reward - guess, (reward.detach() - guess) ** 2)
        ),
        "the loss sends a gradient into the reward: detach the reward there": with_parts(
            lambda reward, guess: (reward - guess.detach(), (reward - guess) ** 2)
        ),
        "gradients leak both ways: detach the baseline in the advantage and the reward in the loss": with_parts(
            lambda reward, guess: (reward - guess, (reward - guess) ** 2)
        ),
        "the baseline cannot learn: the loss was made of the detached advantage": with_parts(
            lambda reward, guess: ((reward - guess).detach(), (reward - guess).detach() ** 2)
        ),
        "the wrong one was detached: the loss teaches the reward, and not the baseline": with_parts(
            lambda reward, guess: (reward - guess.detach(), (reward - guess.detach()) ** 2)
        ),
        "the loss carries the factor ½; there is none": with_parts(
            lambda reward, guess: ((reward - guess).detach(), 0.5 * (reward.detach() - guess) ** 2)
        ),
        "this is the absolute error; the loss is its square": with_parts(
            lambda reward, guess: ((reward - guess).detach(), (reward.detach() - guess).abs())
        ),
        "this is the Huber loss; the loss is the squared error": with_parts(
            lambda reward, guess: (
                (reward - guess).detach(),
                F.smooth_l1_loss(guess, reward.detach(), reduction="none"),
            )
        ),
        "the square is missing: the loss is (reward − b)²": with_parts(
            lambda reward, guess: ((reward - guess).detach(), reward.detach() - guess)
        ),
        "the loss was averaged over the batch; one for each observation is wanted": with_parts(
            lambda reward, guess: ((reward - guess).detach(), F.mse_loss(guess, reward.detach()))
        ),
        "the loss was summed over the batch; one for each observation is wanted": with_parts(
            lambda reward, guess: ((reward - guess).detach(), (reward.detach() - guess).square().sum())
        ),
        "mse_loss met [B, 1] and [B], and averaged over all pairs": lambda baseline, reward, x: (
            (reward - baseline(x).squeeze(1)).detach(),
            F.mse_loss(baseline(x), reward.detach()).expand(len(reward)),
        ),
        "the sign of the advantage is wrong: it is reward − b": with_parts(
            lambda reward, guess: ((guess - reward).detach(), (reward.detach() - guess) ** 2)
        ),
        "the sign of the loss is wrong: it is minimised": with_parts(
            lambda reward, guess: ((reward - guess).detach(), -((reward.detach() - guess) ** 2))
        ),
        "b was added; subtract it": with_parts(
            lambda reward, guess: ((reward + guess).detach(), (reward.detach() - guess) ** 2)
        ),
        "the advantage was divided by b; subtract b": with_parts(
            lambda reward, guess: ((reward / guess).detach(), (reward.detach() - guess) ** 2)
        ),
        "nothing was subtracted: the advantage is the reward": with_parts(
            lambda reward, guess: (reward.clone(), (reward.detach() - guess) ** 2)
        ),
        "this is b, not the advantage": with_parts(
            lambda reward, guess: (guess.detach(), (reward.detach() - guess) ** 2)
        ),
        "the advantage was centred by the batch's mean, too": with_parts(
            lambda reward, guess: (
                (reward - guess).detach() - (reward - guess).detach().mean(),
                (reward.detach() - guess) ** 2,
            )
        ),
        "the mean of b over the batch was subtracted; each observation has its own": with_parts(
            lambda reward, guess: ((reward - guess.mean()).detach(), (reward.detach() - guess) ** 2)
        ),
        "the two results are exchanged": lambda *arguments: baseline_advantage(*arguments)[::-1],
        "advantage and loss have exchanged places": with_parts(
            lambda reward, guess: ((reward.detach() - guess) ** 2, reward - guess.detach())
        ),
        "x was flattened; pass it on as it comes": lambda baseline, reward, x: baseline_advantage(
            lambda inputs: baseline(
                inputs.mean((2, 3), keepdim=True).expand_as(inputs) if inputs.dim() > 2 else inputs
            ),
            reward,
            x,
        ),
        "raised RuntimeError": lambda baseline, reward, x: baseline_advantage(baseline, reward, x.flatten(1)),
        "moved the baseline's weights": stepped,
        "changed the gradients stored in the baseline": backwards,
        "left the baseline frozen": frozen,
        "left the baseline in eval mode": in_eval_mode,
        "returned a Tensor": lambda *arguments: baseline_advantage(*arguments)[0],
        "returned a float as loss": with_parts(
            lambda reward, guess: ((reward - guess).detach(), (reward - guess).square().mean().item())
        ),
        "changed its argument `reward` in place": with_parts(
            lambda reward, guess: (reward.sub_(guess.detach()), (reward + 0 * guess) ** 2)
        ),
    },
    exact=False,
)


class Chain(nn.Module):
    """Control variates one after the other."""

    def __init__(self, control_variates):
        super().__init__()
        self.members = nn.ModuleList(control_variates)

    def forward(self, reward, x):
        total = torch.zeros_like(reward)
        for member in self.members:
            reward, loss = member(reward, x)
            total = total + loss
        return reward, total


class Recursive(nn.Module):
    """The first, and then a chain of the others."""

    def __init__(self, control_variates):
        super().__init__()
        self.first = control_variates[0] if control_variates else None
        self.others = Recursive(control_variates[1:]) if control_variates else None

    def forward(self, reward, x=None):
        if self.first is None:
            return reward, reward.new_zeros(reward.shape)
        modified, loss = self.first(reward, x)
        modified, further = self.others(modified, x)
        return modified, loss + further


class Stacked(nn.Sequential):
    """The losses collected and added at the end."""

    def __init__(self, control_variates):
        super().__init__(*control_variates)

    def forward(self, reward: Tensor, x: Tensor) -> list[Tensor]:
        losses = [torch.zeros(reward.shape, dtype=reward.dtype)]
        for control_variate in self:
            reward, loss = control_variate(reward, x=x)
            losses.append(loss)
        return [reward, torch.stack(losses).sum(0)]


class Numbered(nn.Module):
    """Members registered by hand, the chain cut between them."""

    def __init__(self, control_variates):
        super().__init__()
        self.count = len(control_variates)
        for number, control_variate in enumerate(control_variates):
            self.add_module(f"cv{number}", control_variate)

    def forward(self, reward: Tensor, x: Tensor) -> Pair:
        total = 0 * reward.detach()
        for number in range(self.count):
            reward, loss = getattr(self, f"cv{number}")(reward.detach(), x)
            total += loss
        return reward, total


def chained(step: Callable[[Sequence[nn.Module], Tensor, Tensor], object]) -> type[nn.Module]:
    """A chain that does something else with its members, the reward and x."""
    return type("Chain", (Chain,), {"forward": lambda self, reward, x=None: step(self.members, reward, x)})


def with_loss(total: Tensor, reward: Tensor, loss: Tensor) -> Pair:
    return reward, total + loss


def raw(members, reward, x):
    """Each on the raw reward; the last one's is returned."""
    total, modified = torch.zeros_like(reward), reward
    for member in members:
        modified, loss = member(reward, x)
        total = total + loss
    return modified, total


def raw_changes(members, reward, x):
    """Each on the raw reward, and what they changed added up."""
    total, modified = torch.zeros_like(reward), reward
    for member in members:
        changed, loss = member(reward, x)
        modified, total = modified + (changed - reward), total + loss
    return modified, total


def each_called_twice(members, reward, x):
    total = torch.zeros_like(reward)
    for member in members:
        total = total + member(reward, x)[1]
        reward = member(reward, x)[0]
    return reward, total


def last_loss(members, reward, x):
    loss = torch.zeros_like(reward)
    for member in members:
        reward, loss = member(reward, x)
    return reward, loss


def averaged_losses(members, reward, x):
    total = torch.zeros_like(reward)
    for member in members:
        reward, loss = member(reward, x)
        total = total + loss.mean()
    return reward, total


def first_loss(members, reward, x):
    losses = [torch.zeros_like(reward)]
    for member in members:
        reward, loss = member(reward, x)
        losses.append(loss)
    return reward, losses[min(1, len(losses) - 1)]


def product_of_losses(members, reward, x):
    total = torch.ones_like(reward)
    for member in members:
        reward, loss = member(reward, x)
        total = total * loss
    return reward, total if len(members) else torch.zeros_like(reward)


def sum_of_list(members, reward, x):
    losses = []
    for member in members:
        reward, loss = member(reward, x)
        losses.append(loss)
    return reward, sum(losses)


def from_scalar(members, reward, x):
    total = torch.tensor(0.0, dtype=reward.dtype)
    for member in members:
        reward, loss = member(reward, x)
        total = total + loss
    return reward, total


def unbound(members, reward, x):
    for number, member in enumerate(members):
        reward, loss = member(reward, x)
        if number == 0:
            total = torch.zeros_like(loss)
        total = total + loss
    return reward, total


def losses_of_modified(members, reward, x):
    """Every member is called once more on the final reward, for its loss."""
    total = torch.zeros_like(reward)
    for member in members:
        reward, _ = member(reward, x)
    for member in members:
        total = total + copy.deepcopy(member)(reward, x)[1]
    return reward, total


def ended(change: Callable[[Tensor, Tensor, int], object]) -> type[nn.Module]:
    """A chain that returns something else, made of its reward, its loss and the number of its members."""
    return chained(lambda members, reward, x: change(*Chain.forward(_Members(members), reward, x), len(members)))


class _Members:
    def __init__(self, members):
        self.members = members


class PlainList(nn.Module):
    """The members in a Python list."""

    def __init__(self, control_variates):
        super().__init__()
        self.members = list(control_variates)

    def forward(self, reward, x):
        return Chain.forward(self, reward, x)


class PlainClass:
    def __init__(self, control_variates):
        self.members = control_variates

    def __call__(self, reward, x):
        return Chain.forward(self, reward, x)


class CopiedMembers(Chain):
    def __init__(self, control_variates):
        super().__init__(copy.deepcopy(list(control_variates)))


oracle(
    "chain",
    reference=Chain,
    right={
        "recursion": Recursive,
        "nn.Sequential, losses stacked, a list returned": Stacked,
        "members registered one by one, rewards detached on the way": Numbered,
        "reduce": chained(
            lambda members, reward, x: reduce(
                lambda so_far, member: with_loss(so_far[1], *member(so_far[0], x)),
                members,
                (reward, torch.zeros_like(reward)),
            )
        ),
    },
    wrong={
        "each control variate got the raw reward; give it what the one before left": chained(raw),
        "each control variate got the raw reward, and their changes were added": chained(raw_changes),
        "the order is reversed; the first of the list comes first": chained(
            lambda members, reward, x: Chain.forward(_Members(list(members)[::-1]), reward, x)
        ),
        "the first control variate was skipped": chained(
            lambda members, reward, x: Chain.forward(_Members(list(members)[1:]), reward, x)
        ),
        "only the first control variate was used": chained(
            lambda members, reward, x: Chain.forward(_Members(list(members)[:1]), reward, x)
        ),
        "only the last loss was returned; add all losses": chained(last_loss),
        "only the first loss was returned; add all losses": chained(first_loss),
        "the losses were averaged over the control variates; add them": ended(
            lambda reward, loss, count: (reward, loss / max(count, 1))
        ),
        "the losses were multiplied; add them": chained(product_of_losses),
        "the losses were averaged over the batch; one for each observation is wanted": ended(
            lambda reward, loss, count: (reward, loss.mean())
        ),
        "each loss was averaged over the batch before it was added; every observation keeps its own": chained(
            averaged_losses
        ),
        "the losses were summed over the batch; one for each observation is wanted": ended(
            lambda reward, loss, count: (reward, loss.sum())
        ),
        "the losses belong to the final reward; add those that were returned on the way": chained(losses_of_modified),
        "the reward came back as it was: what the control variates return was not used": chained(
            lambda members, reward, x: (reward.clone(), Chain.forward(_Members(members), reward, x)[1])
        ),
        "each control variate was called twice, and counts every batch twice": chained(each_called_twice),
        "no gradient reaches the control variates: the losses were detached, or the control variates copied": ended(
            lambda reward, loss, count: (reward, loss.detach())
        ),
        "x was not passed on": chained(
            lambda members, reward, x: Chain.forward(_Members(members), reward, torch.zeros_like(x))
        ),
        "raised TypeError": chained(lambda members, reward, x: Chain.forward(_Members(members), reward, None)),
        "returned an int as loss": chained(sum_of_list),
        "the loss of an empty chain has no axis; a 0 for each reward is wanted": chained(from_scalar),
        "raised UnboundLocalError": chained(unbound),
        "the losses' signs are wrong; they are minimised": ended(lambda reward, loss, count: (reward, -loss)),
        "the loss was added to the reward": ended(lambda reward, loss, count: (reward + loss, loss)),
        "the two results are exchanged": ended(lambda reward, loss, count: (loss, reward)),
        "does not list its members' weights": PlainList,
        "no gradient reaches the control variates": CopiedMembers,
        "make it a torch.nn.Module": PlainClass,
        "returned a Tensor": ended(lambda reward, loss, count: reward),
        "returned None as loss": ended(lambda reward, loss, count: (reward, None)),
        "returned 3 values": ended(lambda reward, loss, count: (reward, loss, count)),
        "changed its argument `reward` in place": chained(
            lambda members, reward, x: Chain.forward(_Members(members), reward.mul_(2), x)
        ),
    },
    exact=False,
)


class GaussianCPD(nn.Module):
    """One hidden layer and a head for mean and scale together; flaws of students are arguments."""

    def __init__(
        self,
        outcome_shape: Sequence[int],
        num_inputs: int,
        hidden: int,
        *,
        scale: Callable[[Tensor], Tensor] = lambda raw: F.softplus(raw) + 1e-3,
        mean: Callable[[Tensor], Tensor] = lambda raw: raw,
        activation: Callable[[], nn.Module] = nn.ReLU,
        give: Callable[[Tensor, Tensor, int], object] = lambda mean, scale, axes: td.Independent(
            td.Normal(mean, scale), axes
        ),
    ) -> None:
        super().__init__()
        self.outcome_shape = tuple(outcome_shape)
        self.body = nn.Sequential(nn.Linear(num_inputs, hidden), activation())
        self.head = nn.Linear(hidden, 2 * math.prod(self.outcome_shape))
        self.scale, self.mean, self.give = scale, mean, give

    def forward(self, inputs: Tensor) -> object:
        mean, raw = self.raw(inputs)
        return self.give(self.mean(self.shaped(mean)), self.scale(self.shaped(raw)), len(self.outcome_shape))

    def raw(self, inputs: Tensor) -> Pair:
        return self.head(self.body(inputs)).chunk(2, -1)

    def shaped(self, flat: Tensor) -> Tensor:
        return flat.unflatten(-1, self.outcome_shape)


class TwoHeads(nn.Module):
    """Two heads, an exponential, several layers."""

    def __init__(self, outcome_shape, num_inputs, hidden):
        super().__init__()
        size = math.prod(outcome_shape)
        self.outcome_shape = outcome_shape
        self.l1 = nn.Linear(num_inputs, hidden)
        self.l2 = nn.Linear(hidden, hidden)
        self.loc = nn.Linear(hidden, size)
        self.log_var = nn.Linear(hidden, size)

    def forward(self, z):
        h = torch.tanh(self.l2(F.gelu(self.l1(z))))
        shape = z.shape[:-1] + torch.Size(self.outcome_shape)
        scale = torch.exp(0.5 * self.log_var(h).clamp(-14, 10))
        return td.Independent(td.Normal(self.loc(h).view(shape), scale.view(shape)), len(self.outcome_shape))


class ByAxis(nn.Module):
    """The inputs flattened to one batch axis, one network each for mean and scale, dropout and LayerNorm."""

    def __init__(self, outcome_shape, num_inputs, hidden):
        super().__init__()
        self.outcome_shape = tuple(outcome_shape)

        def network():
            return nn.Sequential(
                nn.Linear(num_inputs, hidden),
                nn.LayerNorm(hidden),
                nn.SiLU(),
                nn.Dropout(0.3),
                nn.Linear(hidden, math.prod(outcome_shape)),
                nn.Unflatten(1, self.outcome_shape),
            )

        self.mean, self.spread = network(), network()

    def forward(self, inputs):
        batch, flat = inputs.shape[:-1], inputs.reshape(-1, inputs.shape[-1])
        mean = self.mean(flat).reshape(*batch, *self.outcome_shape)
        scale = self.spread(flat).exp().add(1e-5).reshape(*batch, *self.outcome_shape)
        return td.Independent(td.Normal(loc=mean, scale=scale), reinterpreted_batch_ndims=len(self.outcome_shape))


class OwnWeights(nn.Module):
    """Weights of one's own instead of layers; the scale has no bias and is bounded."""

    def __init__(self, outcome_shape, num_inputs, hidden):
        super().__init__()
        size = math.prod(outcome_shape)
        self.outcome_shape = outcome_shape
        self.inner = nn.Parameter(torch.randn(num_inputs, hidden) / num_inputs**0.5)
        self.shift = nn.Parameter(torch.zeros(hidden))
        self.outer = nn.Parameter(torch.randn(2, hidden, size) / hidden**0.5)

    def forward(self, inputs):
        h = torch.sin(inputs @ self.inner + self.shift)
        mean, raw = ((h @ part).unflatten(-1, self.outcome_shape) for part in self.outer)
        return td.Independent(td.Normal(mean, 0.01 + 3 * torch.sigmoid(raw)), len(self.outcome_shape))


class Deep(GaussianCPD):
    """A floor of ε of float32, four layers with ELU, and clamped pre-activations."""

    def __init__(self, outcome_shape, num_inputs, hidden):
        super().__init__(
            outcome_shape, num_inputs, hidden, scale=lambda raw: F.softplus(raw).clamp(min=1.2e-7), activation=nn.ELU
        )
        self.body.extend([nn.Linear(hidden, hidden), nn.ELU(), nn.Linear(hidden, hidden), nn.ELU()])


def cpd(base: type[GaussianCPD] = GaussianCPD, **flaws: Callable[..., object]) -> Callable[..., GaussianCPD]:
    return lambda outcome_shape, num_inputs, hidden: base(outcome_shape, num_inputs, hidden, **flaws)


class ConstantScale(GaussianCPD):
    """A scale that is learned and does not look at the inputs."""

    def raw(self, inputs: Tensor) -> Pair:
        mean, _ = super().raw(inputs)
        return mean, self.head.bias.chunk(2)[1].expand_as(mean)


class OneScale(GaussianCPD):
    def raw(self, inputs: Tensor) -> Pair:
        mean, raw = super().raw(inputs)
        return mean, raw[..., :1].expand_as(mean)


class SharedHead(GaussianCPD):
    def raw(self, inputs: Tensor) -> Pair:
        mean, _ = super().raw(inputs)
        return mean, mean


class BatchAxisFirst(GaussianCPD):
    def shaped(self, flat: Tensor) -> Tensor:
        return flat.reshape(flat.shape[0], *self.outcome_shape)


class OneBatchAxis(GaussianCPD):
    def shaped(self, flat: Tensor) -> Tensor:
        return flat.reshape(-1, *self.outcome_shape)


class Turned(GaussianCPD):
    """The outcome's axes in the opposite order."""

    def shaped(self, flat: Tensor) -> Tensor:
        return flat.unflatten(-1, self.outcome_shape[::-1])


class FlatOutcome(GaussianCPD):
    def shaped(self, flat: Tensor) -> Tensor:
        return flat


class HiddenLayers(GaussianCPD):
    """Layers in a Python list."""

    def __init__(self, *arguments, **flaws):
        super().__init__(*arguments, **flaws)
        layers = [self.body, self.head]
        del self.body, self.head
        self.layers = layers
        self.anchor = nn.Parameter(torch.zeros(arguments[-1]))

    def raw(self, inputs: Tensor) -> Pair:
        body, head = self.layers
        return head(body(inputs) + self.anchor).chunk(2, -1)


class Detached(GaussianCPD):
    def raw(self, inputs: Tensor) -> Pair:
        return self.head(self.body(inputs).detach()).chunk(2, -1)


class WithoutGrad(GaussianCPD):
    @torch.no_grad()
    def raw(self, inputs: Tensor) -> Pair:
        return super().raw(inputs)


class Noisy(GaussianCPD):
    def raw(self, inputs: Tensor) -> Pair:
        return super().raw(inputs + 0.1 * torch.randn_like(inputs))


class BatchNormalised(GaussianCPD):
    def raw(self, inputs: Tensor) -> Pair:
        flat = inputs.flatten(0, -2)
        spread = flat.std(0, correction=0) + 1
        return super().raw((inputs - flat.mean(0)) / spread)


class InputInPlace(GaussianCPD):
    def raw(self, inputs: Tensor) -> Pair:
        return super().raw(inputs.data.mul_(0.5))


class FirstInputs(GaussianCPD):
    def __init__(self, outcome_shape, num_inputs, hidden):
        super().__init__(outcome_shape, 1, hidden)

    def raw(self, inputs: Tensor) -> Pair:
        return super().raw(inputs[..., :1])


def in_double(network: GaussianCPD) -> nn.Module:
    network.double().register_forward_pre_hook(lambda module, inputs: (inputs[0].double(),))
    return network


def weight_normed(network: GaussianCPD) -> GaussianCPD:
    network.head = nn.utils.parametrizations.weight_norm(network.head)
    return network


def seeded(*arguments):
    torch.manual_seed(0)
    return GaussianCPD(*arguments)


oracle(
    "gaussian-cpd",
    reference=GaussianCPD,
    right={
        "two heads, two layers, a clamped log-variance": TwoHeads,
        "two networks with LayerNorm and dropout, one batch axis inside": ByAxis,
        "no layers, but weights": OwnWeights,
        "deep, with a floor by clamp": Deep,
        "an exponential with a floor, tanh inside": cpd(scale=lambda raw: raw.exp() + 1e-6, activation=nn.Tanh),
        "elu + 1 and a floor": cpd(scale=lambda raw: F.elu(raw) + 1.001, activation=nn.Sigmoid),
        "a square and a floor": cpd(scale=lambda raw: raw**2 + 1e-2, activation=nn.LeakyReLU),
        "weight norm": lambda *plan: weight_normed(GaussianCPD(*plan)),
        "unvalidated arguments": cpd(
            give=lambda mean, scale, axes: td.Independent(
                td.Normal(mean, scale, validate_args=False), axes, validate_args=False
            )
        ),
    },
    wrong={
        "the scale falls to 0 where its raw output is far below 0, and no density is left; give it a floor": cpd(
            scale=F.softplus
        ),
        "the scale falls to 0 where its raw output is far below 0": cpd(scale=torch.exp),
        "no density is left; give it a floor": cpd(
            scale=F.softplus,
            give=lambda mean, scale, axes: td.Independent(td.Normal(mean, scale, validate_args=False), axes),
        ),
        "where its raw output is near 0": cpd(scale=torch.abs),
        "where its raw output is near 0, and no density is left": cpd(scale=torch.square),
        "where its raw output is far below 0, and no density is left": cpd(scale=lambda raw: F.softplus(raw) + 1e-30),
        "the scale is not positive: make it so, by softplus or exp": cpd(scale=lambda raw: raw),
        "the scale is not positive": cpd(scale=F.relu),
        "td.Independent takes as many axes as outcome_shape has": cpd(
            give=lambda mean, scale, axes: td.Independent(td.Normal(mean, scale), 1)
        ),
        "the event shape is () and should be (12,)": cpd(
            give=lambda mean, scale, axes: td.Independent(td.Normal(mean, scale), 0)
        ),
        "the event shape is (7, 12) and should be (12,)": cpd(
            give=lambda mean, scale, axes: td.Independent(td.Normal(mean, scale), axes + 1)
        ),
        "this is a Normal": cpd(give=lambda mean, scale, axes: td.Normal(mean, scale)),
        "this is a MultivariateNormal": cpd(
            give=lambda mean, scale, axes: td.MultivariateNormal(
                mean.flatten(-axes), torch.diag_embed(scale.flatten(-axes) ** 2)
            )
        ),
        "this is an Independent of a Laplace": cpd(
            give=lambda mean, scale, axes: td.Independent(td.Laplace(mean, scale), axes)
        ),
        "not a tuple": cpd(give=lambda mean, scale, axes: (mean, scale)),
        "should return a td.Independent of a td.Normal, not a Tensor of shape (7, 12)": cpd(
            give=lambda mean, scale, axes: mean
        ),
        "raised RuntimeError": cpd(BatchAxisFirst),
        "for inputs of shape (3, 4, 7)": cpd(OneBatchAxis),
        "the event shape is (5, 4) and should be (4, 5)": cpd(Turned),
        "the event shape is (20,) and should be (4, 5)": cpd(
            FlatOutcome, give=lambda mean, scale, axes: td.Independent(td.Normal(mean, scale), 1)
        ),
        "the mean is never below -1": cpd(mean=torch.sigmoid),
        "the mean is never above 1": cpd(mean=lambda raw: -F.softplus(raw)),
        "the mean is never below -1, whatever the weights": cpd(mean=torch.tanh),
        "the mean is never below -1, whatever the weights; outcomes may lie anywhere": cpd(mean=F.relu),
        "the scale is the same for every input": cpd(ConstantScale),
        "the scale is the same for every input; compute it from the inputs": cpd(
            scale=lambda raw: torch.ones_like(raw)
        ),
        "the scale is the same for every entry of an outcome": cpd(OneScale),
        "the scale is computed from the mean": cpd(SharedHead),
        "the mean is linear in the inputs": cpd(activation=nn.Identity),
        "let `hidden` decide the layer's width": lambda outcome_shape, num_inputs, hidden: GaussianCPD(
            outcome_shape, num_inputs, 64
        ),
        "no layer has `hidden` units": lambda outcome_shape, num_inputs, hidden: GaussianCPD(
            outcome_shape, num_inputs, hidden // 2 + 3
        ),
        "uses weights that network.parameters() does not list": cpd(HiddenLayers),
        "no gradient reaches some weights of the network": cpd(Detached),
        "no gradient reaches some weights of the network: something is detached or frozen": cpd(WithoutGrad),
        "no gradient passes through the scale: it was detached": cpd(scale=lambda raw: F.softplus(raw.detach()) + 1e-3),
        "no gradient passes through the mean: it was detached": cpd(mean=Tensor.detach),
        "draws random numbers when it is called in eval mode": cpd(Noisy),
        "depends on the rest of its batch": cpd(BatchNormalised),
        "changed its input in place": cpd(InputInPlace),
        "does not depend on some of the inputs": FirstInputs,
        "the mean is torch.float64; it should be torch.float32": lambda *plan: in_double(GaussianCPD(*plan)),
        "mat1 and mat2 shapes cannot be multiplied": lambda outcome_shape, num_inputs, hidden: GaussianCPD(
            outcome_shape, 5, hidden
        ),
        "two calls return the same networks": cache(GaussianCPD),
        "GaussianCPD seeds torch's random numbers": seeded,
        "GaussianCPD should be a torch.nn.Module": lambda *plan: lambda inputs: GaussianCPD(*plan)(inputs),
    },
    exact=False,
)


NOT_DETACHED = "the reward was not detached: a gradient runs through it into the product with log q"
NO_ENTROPY = "the reward is log_joint alone; − log q(z) belongs to it"
NO_PATH = "no gradient reaches log_joint's parameters: log_joint(z) itself is missing beside the reward"
NO_SCORE = "no gradient reaches q: log q(z) was detached, or is missing beside the reward"
DESCENDED = "the sign is wrong; a surrogate is ascended"


def reward_of(q: td.Distribution, log_joint: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    return (log_joint(z) - q.log_prob(z)).detach()


def score_function_surrogate(q, log_joint, samples):
    z = q.sample((samples,))
    return (reward_of(q, log_joint, z) * q.log_prob(z) + log_joint(z)).mean()


def sample_by_sample(q, log_joint, samples):
    total = 0.0
    for _ in range(samples):
        z = q.sample()
        log_q, log_p = q.log_prob(z), log_joint(z)
        with torch.no_grad():
            reward = log_p - log_q
        total = total + reward * log_q + log_p
    return total / samples


def stacked(q, log_joint, samples):
    z = torch.stack([q.sample() for _ in range(samples)])
    log_q = q.log_prob(z)
    elbo = log_joint(z) - log_q
    return torch.mean(elbo.detach() * log_q + elbo)


def kept_in_tensors(q, log_joint, samples):
    """Rewards written into tensors that were made beforehand, in the default dtype."""
    rewards, terms = torch.zeros(samples), []
    for s in range(samples):
        z = q.sample()
        rewards[s] = float(log_joint(z) - q.log_prob(z))
        terms.append((q.log_prob(z), log_joint(z)))
    return sum(rewards[s] * log_q + log_p for s, (log_q, log_p) in enumerate(terms)) / samples


def dice(q, log_joint, samples):
    z = q.sample((samples,))
    log_q = q.log_prob(z)
    return (torch.exp(log_q - log_q.detach()) * (log_joint(z) - log_q)).sum() / samples


def baseline_of_the_others(q, log_joint, samples):
    z = q.sample((samples,))
    log_q, log_p = q.log_prob(z), log_joint(z)
    reward = (log_p - log_q).detach()
    if samples > 1:
        reward = (reward - reward.mean()) * samples / (samples - 1)
    return (reward * log_q + log_p).mean()


def entropy_in_closed_form(q, log_joint, samples):
    z = q.sample((samples,))
    log_p = log_joint(z)
    return (log_p.detach() * q.log_prob(z) + log_p).mean() + q.entropy()


def best_constant(q, log_joint, samples):
    """With a baseline that is an expectation over all outcomes."""
    everything = q.enumerate_support()
    reward = reward_of(q, log_joint, everything)
    baseline = (q.log_prob(everything).exp() * reward).sum(0).detach()
    z = q.sample((samples,))
    return ((reward_of(q, log_joint, z) - baseline) * q.log_prob(z) + log_joint(z)).mean()


def backward_in_between(q, log_joint, samples):
    surrogate = score_function_surrogate(q, log_joint, samples)
    surrogate.backward(retain_graph=True)
    return surrogate


def weighted(
    weight: Callable[[Tensor, Tensor], Tensor] = lambda log_p, log_q: log_p - log_q,
    score: Callable[[Tensor], Tensor] = lambda log_q: log_q,
    reduce: Callable[[Tensor], Tensor] = torch.mean,
    path: float = 1.0,
    attached: bool = False,
) -> Callable[..., Tensor]:
    """A surrogate with another weight on log q, or another path."""

    def variant(q, log_joint, samples):
        z = q.sample((samples,))
        log_p, log_q = log_joint(z), q.log_prob(z)
        weights = weight(log_p, log_q)
        return reduce((weights if attached else weights.detach()) * score(log_q) + path * log_p)

    return variant


def rewards_so_far(q, log_joint, samples):
    total, reward = 0.0, 0.0
    for _ in range(samples):
        z = q.sample()
        reward = reward + reward_of(q, log_joint, z)
        total = total + reward * q.log_prob(z) + log_joint(z)
    return total / samples


def products_of_means(q, log_joint, samples):
    z = q.sample((samples,))
    return reward_of(q, log_joint, z).mean() * q.log_prob(z).mean() + log_joint(z).mean()


def mean_times_sum(q, log_joint, samples):
    z = q.sample((samples,))
    return reward_of(q, log_joint, z).mean() * q.log_prob(z).sum() + log_joint(z).mean()


def one_draw(q, log_joint, samples):
    z = q.sample()
    return sum(reward_of(q, log_joint, z) * q.log_prob(z) + log_joint(z) for _ in range(samples)) / samples


def another_draw_for_the_path(q, log_joint, samples):
    z, other = q.sample((samples,)), q.sample((samples,))
    return (reward_of(q, log_joint, z) * q.log_prob(z) + log_joint(other)).mean()


def last_sample_for_the_path(q, log_joint, samples):
    z = q.sample((samples,))
    return (reward_of(q, log_joint, z) * q.log_prob(z)).mean() + log_joint(z[-1])


def reward_on_the_path(q, log_joint, samples):
    z = q.sample((samples,))
    return (reward_of(q, log_joint, z) * (q.log_prob(z) + log_joint(z))).mean()


def importance_weighted(q, log_joint, samples):
    z = q.sample((samples,))
    log_q = q.log_prob(z)
    bound = (log_joint(z) - log_q).logsumexp(0) - math.log(samples)
    return bound.detach() * log_q.sum() + bound


def standardised(rewards: Tensor) -> Tensor:
    """In units of their standard deviation, where there are two or more of them."""
    return (rewards - rewards.mean()) / (rewards.std() + 1e-8) if len(rewards) > 1 else rewards


def summed_path(q, log_joint, samples):
    z = q.sample((samples,))
    return (reward_of(q, log_joint, z) * q.log_prob(z)).mean() + log_joint(z).sum()


def mean_so_far(rewards: Tensor) -> Tensor:
    return rewards.cumsum(0) / torch.arange(1, len(rewards) + 1)


def with_rsample(q, log_joint, samples):
    z = q.rsample((samples,))
    return (log_joint(z) - q.log_prob(z)).mean()


def most_probable(q, log_joint, samples):
    z = q.probs.argmax().expand(samples)
    return (reward_of(q, log_joint, z) * q.log_prob(z) + log_joint(z)).mean()


def own_draws(q, log_joint, samples):
    z = torch.multinomial(q.probs, samples, replacement=True)
    return (reward_of(q, log_joint, z) * q.log_prob(z) + log_joint(z)).mean()


def exact_elbo(q, log_joint, samples):
    z = q.enumerate_support()
    return (q.log_prob(z).exp() * (log_joint(z) - q.log_prob(z))).sum()


class RunningBaseline:
    """Subtracts what it remembers of earlier calls."""

    def __init__(self) -> None:
        self.mean = 0.0

    def __call__(self, q, log_joint, samples):
        z = q.sample((samples,))
        reward = reward_of(q, log_joint, z)
        surrogate = ((reward - self.mean) * q.log_prob(z) + log_joint(z)).mean()
        self.mean = 0.9 * self.mean + 0.1 * reward.mean().item()
        return surrogate


oracle(
    "score-function-surrogate",
    reference=score_function_surrogate,
    right={
        "sample by sample": sample_by_sample,
        "stacked, with − log q as a path that averages to 0": stacked,
        "rewards in a float32 tensor": kept_in_tensors,
        "DiCE": dice,
        "the others' mean as baseline": baseline_of_the_others,
        "the entropy in closed form": entropy_in_closed_form,
        "the best known constant as baseline": best_constant,
    },
    wrong={
        NOT_DETACHED: weighted(attached=True),
        "the reward was detached in log q, but not in log_joint": weighted(
            lambda log_p, log_q: log_p - log_q.detach(), attached=True
        ),
        "the entropy counts twice: log q was not detached in the reward, or q.entropy() was added to it": weighted(
            lambda log_p, log_q: log_p.detach() - log_q, attached=True
        ),
        NO_ENTROPY: weighted(lambda log_p, log_q: log_p),
        "the reward adds log q(z); subtract it": weighted(lambda log_p, log_q: log_p + log_q),
        "the mean over all rewards was subtracted, the sample's own among them, which shrinks the gradient": weighted(
            lambda log_p, log_q: (log_p - log_q) - (log_p - log_q).mean()
        ),
        "the mean over several rewards was subtracted, the sample's own among them: the gradient shrinks": weighted(
            lambda log_p, log_q: (log_p - log_q) - (log_p - log_q).mean() * (len(log_q) > 1)
        ),
        "several rewards were standardised; that changes the gradient's length, and each reward is in its own mean": (
            weighted(lambda log_p, log_q: standardised(log_p - log_q))
        ),
        "log q is multiplied by the mean of the rewards so far; each log q has its own reward": weighted(
            lambda log_p, log_q: mean_so_far(log_p - log_q)
        ),
        "log_joint's path was summed over the samples; average it": summed_path,
        "the rewards were standardised, which changes the gradient's length": weighted(
            lambda log_p, log_q: (log_p - log_q - (log_p - log_q).mean()) / ((log_p - log_q).std(correction=0) + 1e-6)
        ),
        "the reward is summed over the samples so far: unbiased, but it varies more; each log q has its own reward": (
            rewards_so_far
        ),
        "the mean reward was multiplied by the mean of log q; multiply sample by sample": products_of_means,
        "the mean reward was multiplied by the sum of log q: unbiased, but the variance grows": mean_times_sum,
        NO_PATH: weighted(path=0.0),
        "log_joint's path has the wrong sign": weighted(path=-1.0),
        NO_SCORE: weighted(score=torch.Tensor.detach),
        "no gradient reaches q": weighted(lambda log_p, log_q: torch.zeros_like(log_q)),
        DESCENDED: weighted(reduce=lambda terms: -terms.mean()),
        "summed over the samples; average them": weighted(reduce=torch.sum),
        "the reward is multiplied by q(z); take log q(z)": weighted(score=torch.exp),
        "only one sample reaches log_joint's parameters; average over all": last_sample_for_the_path,
        "the score function has the wrong sign: the reward is log_joint(z) − log q(z)": weighted(
            lambda log_p, log_q: log_q - log_p
        ),
        "log_joint's path was weighted with the reward; it has weight 1": reward_on_the_path,
        "the rewards were clipped; small ones count in full, and so do large ones": weighted(
            lambda log_p, log_q: (log_p - log_q).clamp(-5, 5)
        ),
        "this is the gradient of the importance-weighted bound; average the samples' ELBOs": importance_weighted,
        "the mean over the rewards so far was subtracted, the sample's own among them": weighted(
            lambda log_p, log_q: (log_p - log_q) - mean_so_far(log_p - log_q)
        ),
        "one number is wanted": weighted(reduce=lambda terms: terms),
        "drew 1 outcome from q": one_draw,
        "outcomes from q; samples =": another_draw_for_the_path,
        "drew 0 outcomes from q": most_probable,
        "drew 0 outcomes": exact_elbo,
        "a discrete outcome has no path derivative; draw it with q.sample()": with_rsample,
        "draws random numbers of its own": own_draws,
        "gives another answer when it is called again with the same draws": RunningBaseline(),
        "called backward()": backward_in_between,
        "returned a float; its signature promises a tensor": lambda *arguments: score_function_surrogate(
            *arguments
        ).item(),
    },
    exact=False,
)


def nvil_surrogate(q, log_joint, control_variates, x):
    z = q.sample()
    log_q, log_p = q.log_prob(z), log_joint(z)
    reward, loss = control_variates((log_p - log_q).detach(), x)
    return (reward * log_q + log_p).mean(), loss.mean()


def elbo_as_path(q, log_joint, control_variates, x):
    """With − log q among what is differentiated, and a reward that is detached once more."""
    z = q.sample((1,)).squeeze(0)
    elbo = log_joint(z) - q.log_prob(z)
    reward, loss = control_variates(elbo.detach().clone(), x=x)
    return torch.mean(reward.detach() * q.log_prob(z) + elbo), torch.mean(loss)


def under_no_grad(q, log_joint, control_variates, x):
    with torch.no_grad():
        z = q.sample()
        reward = log_joint(z) - q.log_prob(z)
    reward, loss = control_variates(reward, x)
    batch = len(reward)
    return (reward @ q.log_prob(z) + log_joint(z).sum()) / batch, loss.sum() / batch


def dice_with_variates(q, log_joint, control_variates, x):
    z = q.sample()
    log_q, log_p = q.log_prob(z), log_joint(z)
    reward, loss = control_variates((log_p - log_q).detach(), x)
    magic = (log_q - log_q.detach()).exp()
    return (magic * reward.detach() + log_p).mean(), loss.mean()


def observation_by_observation(q, log_joint, control_variates, x):
    z = q.sample()
    log_q, log_p = q.log_prob(z), log_joint(z)
    reward, loss = control_variates(log_p.detach() - log_q.detach(), x)
    terms = [r.detach() * score + p for r, score, p in zip(reward, log_q, log_p, strict=True)]
    return torch.stack(terms).mean(), loss.mean(0)


def batch_variant(
    reward: Callable[[Tensor, Tensor], Tensor] = lambda log_p, log_q: (log_p - log_q).detach(),
    combine: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda modified, log_q, log_p: modified * log_q + log_p,
    reduce: Callable[[Tensor], Tensor] = torch.mean,
    reduce_loss: Callable[[Tensor], Tensor] = torch.mean,
    call: Callable[..., Any] = lambda control_variates, reward, x: control_variates(reward, x),
    result: Callable[[Tensor, Tensor], Any] = lambda surrogate, loss: (surrogate, loss),
) -> Callable[..., Any]:
    """A variant in one step of the recipe."""

    def variant(q, log_joint, control_variates, x):
        z = q.sample()
        log_p, log_q = log_joint(z), q.log_prob(z)
        modified, loss = call(control_variates, reward(log_p, log_q), x)
        return result(reduce(combine(modified, log_q, log_p)), reduce_loss(loss))

    return variant


def raw_reward(q, log_joint, control_variates, x):
    z = q.sample()
    log_p, log_q = log_joint(z), q.log_prob(z)
    reward = (log_p - log_q).detach()
    _, loss = control_variates(reward, x)
    return (reward * log_q + log_p).mean(), loss.mean()


def two_draws(q, log_joint, control_variates, x):
    z, other = q.sample(), q.sample()
    reward, loss = control_variates(reward_of(q, log_joint, z), x)
    return (reward * q.log_prob(z) + log_joint(other)).mean(), loss.mean()


def reward_of_another_draw(q, log_joint, control_variates, x):
    reward, loss = control_variates(reward_of(q, log_joint, q.sample()), x)
    z = q.sample()
    return (reward * q.log_prob(z) + log_joint(z)).mean(), loss.mean()


def one_by_one(control_variates, reward, x):
    pairs = [control_variates(reward[b : b + 1], x[b : b + 1]) for b in range(len(reward))]
    return tuple(torch.cat(parts) for parts in zip(*pairs, strict=True))


def called_twice(control_variates, reward, x):
    return control_variates(reward, x)[0], control_variates(reward, x)[1]


oracle(
    "nvil-surrogate",
    reference=nvil_surrogate,
    right={
        "− log q as a path that averages to 0": elbo_as_path,
        "the draw and the reward under no_grad": under_no_grad,
        "DiCE": dice_with_variates,
        "observation by observation": observation_by_observation,
    },
    wrong={
        "the reward was not detached before the control variates saw it": batch_variant(
            lambda log_p, log_q: log_p - log_q
        ),
        "the control variates' loss sends a gradient into q and log_joint: detach the reward before they see it": (
            batch_variant(
                lambda log_p, log_q: log_p - log_q,
                combine=lambda modified, log_q, log_p: modified.detach() * log_q + log_p,
            )
        ),
        NO_ENTROPY: batch_variant(lambda log_p, log_q: log_p.detach()),
        "the reward adds log q(z); subtract it": batch_variant(lambda log_p, log_q: (log_p + log_q).detach()),
        NO_PATH: batch_variant(combine=lambda modified, log_q, log_p: modified * log_q),
        NO_SCORE: batch_variant(combine=lambda modified, log_q, log_p: modified * log_q.detach() + log_p),
        "the reward that the control variates return was not used": raw_reward,
        "log_joint's path was weighted with the modified reward; it has weight 1": batch_variant(
            combine=lambda modified, log_q, log_p: modified * (log_q + log_p)
        ),
        "the mean reward was multiplied by log q; each observation has its own reward": batch_variant(
            combine=lambda modified, log_q, log_p: modified.mean() * log_q + log_p
        ),
        DESCENDED: batch_variant(reduce=lambda terms: -terms.mean()),
        "surrogate was summed over the batch; average it": batch_variant(reduce=torch.sum),
        "loss was summed over the batch; average it": batch_variant(reduce_loss=torch.sum),
        "surrogate and loss were summed over the batch; average them": batch_variant(
            reduce=torch.sum, reduce_loss=torch.sum
        ),
        "loss is missing: return the mean of what the control variates return": batch_variant(
            result=lambda surrogate, loss: (surrogate, torch.zeros_like(loss))
        ),
        "loss was detached; the control variates learn from it": batch_variant(
            result=lambda surrogate, loss: (surrogate, loss.detach())
        ),
        "loss has the wrong sign; it is descended": batch_variant(result=lambda surrogate, loss: (surrogate, -loss)),
        "loss was subtracted from the surrogate; return both by themselves": batch_variant(
            result=lambda surrogate, loss: (surrogate - loss, loss)
        ),
        "loss was added to the surrogate; return both by themselves": batch_variant(
            result=lambda surrogate, loss: (surrogate + loss, loss)
        ),
        "surrogate and loss have exchanged places": batch_variant(result=lambda surrogate, loss: (loss, surrogate)),
        "one for each observation is wanted, here 2": two_draws,
        "outcomes from q; one for each": reward_of_another_draw,
        "call them once, for they learn from what they are given": batch_variant(call=called_twice),
        "as reward; one number for each observation is wanted, (2,)": batch_variant(call=one_by_one),
        "did not hand x on to the control variates": batch_variant(
            call=lambda control_variates, reward, x: control_variates(reward)
        ),
        "gave the control variates": batch_variant(
            call=lambda control_variates, reward, x: control_variates(reward.mean(), x)
        ),
        "as surrogate; one number is wanted": batch_variant(reduce=lambda terms: terms),
        "as loss; one number is wanted": batch_variant(reduce_loss=lambda loss: loss),
        "its signature promises (surrogate, loss)": batch_variant(result=lambda surrogate, loss: surrogate),
    },
    exact=False,
)


def self_critic(q, log_joint):
    z, other = q.sample(), q.sample()
    advantage = reward_of(q, log_joint, z) - reward_of(q, log_joint, other)
    return advantage * q.log_prob(z) + log_joint(z)


def symmetric(q, log_joint):
    z = q.sample((2,))
    log_q, log_p = q.log_prob(z), log_joint(z)
    reward = (log_p - log_q).detach()
    return 0.5 * (reward[0] - reward[1]) * (log_q[0] - log_q[1]) + log_p.mean()


def path_of_both(q, log_joint):
    """The baseline is the first draw, and both draws lead into log_joint."""
    baseline, z = q.sample(), q.sample()
    log_q, log_p = q.log_prob(z), log_joint(z)
    with torch.no_grad():
        advantage = log_p - log_q - log_joint(baseline) + q.log_prob(baseline)
    return advantage * log_q + (log_p + log_joint(baseline)) / 2


def dice_self_critic(q, log_joint):
    z, other = q.sample((2,))
    log_q = q.log_prob(z)
    magic = (log_q - log_q.detach()).exp()
    return magic * (log_joint(z) - log_q) + (1 - magic) * reward_of(q, log_joint, other)


def baseline_of_log_joint(q, log_joint):
    """log_joint alone as a baseline: any number will do that does not depend on the draw."""
    z, other = q.sample(), q.sample()
    elbo = log_joint(z) - q.log_prob(z)
    return (elbo - log_joint(other)).detach() * q.log_prob(z) + elbo


def entropy_aside(q, log_joint):
    z, other = q.sample(), q.sample()
    return (log_joint(z) - log_joint(other)).detach() * q.log_prob(z) + log_joint(z) + q.entropy()


def critic(
    advantage: Callable[[Tensor, Tensor], Tensor] = lambda reward, baseline: (reward - baseline).detach(),
    reward: Callable[[Tensor, Tensor], Tensor] = lambda log_p, log_q: log_p - log_q,
    path: Callable[[Tensor, Tensor], Tensor] = lambda log_p, other: log_p,
    score: Callable[[Tensor, Tensor], Tensor] = lambda log_q, other: log_q,
) -> Callable[..., Tensor]:
    """A variant in one part of the estimator."""

    def variant(q, log_joint):
        z, other = q.sample(), q.sample()
        log_p, log_q, log_p_other, log_q_other = log_joint(z), q.log_prob(z), log_joint(other), q.log_prob(other)
        weight = advantage(reward(log_p, log_q), reward(log_p_other, log_q_other))
        return weight * score(log_q, log_q_other) + path(log_p, log_p_other)

    return variant


def same_draw(q, log_joint):
    z = q.sample()
    return (reward_of(q, log_joint, z) - reward_of(q, log_joint, z)) * q.log_prob(z) + log_joint(z)


def same_draw_twice(q, log_joint):
    z, _ = q.sample(), q.sample()
    return (reward_of(q, log_joint, z) - reward_of(q, log_joint, z)) * q.log_prob(z) + log_joint(z)


def greedy(q, log_joint):
    """The most probable outcome as baseline."""
    z, best = q.sample(), q.probs.argmax()
    return (reward_of(q, log_joint, z) - reward_of(q, log_joint, best)) * q.log_prob(z) + log_joint(z)


def draw_of_its_own_for_the_path(q, log_joint):
    return critic()(q, log_joint) + log_joint(q.sample())


def own_mean(q, log_joint):
    z = q.sample((2,))
    reward = reward_of(q, log_joint, z)
    return ((reward - reward.mean()) * q.log_prob(z) + log_joint(z)).mean()


def both_summed(q, log_joint):
    z = q.sample((2,))
    reward = reward_of(q, log_joint, z)
    return ((reward - reward.flip(0)) * q.log_prob(z) + log_joint(z)).sum()


def advantage_on_the_path(q, log_joint):
    z, other = q.sample(), q.sample()
    advantage = reward_of(q, log_joint, z) - reward_of(q, log_joint, other)
    return advantage * (q.log_prob(z) + log_joint(z))


def left_apart(q, log_joint):
    z = q.sample((2,))
    reward = reward_of(q, log_joint, z)
    return (reward - reward.flip(0)) * q.log_prob(z) + log_joint(z)


class Remembering:
    """The baseline is the reward of the call before; the second draw goes to waste."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, q, log_joint):
        z, _ = q.sample(), q.sample()
        reward = reward_of(q, log_joint, z)
        advantage, self.last = reward - self.last, reward + self.last / 2
        return advantage * q.log_prob(z) + log_joint(z)


oracle(
    "self-critic",
    reference=self_critic,
    right={
        "both draws as each other's baseline": symmetric,
        "both draws lead into log_joint": path_of_both,
        "DiCE": dice_self_critic,
        "log_joint alone as baseline": baseline_of_log_joint,
        "the entropy in closed form": entropy_aside,
    },
    wrong={
        "the baseline was not detached: a gradient runs through it": critic(
            lambda reward, baseline: reward.detach() - baseline
        ),
        NOT_DETACHED: critic(lambda reward, baseline: reward - baseline.detach()),
        "neither reward was detached: gradients run through both": critic(lambda reward, baseline: reward - baseline),
        "drew 1 outcome from q; two are wanted, independent of each other": same_draw,
        "drew 1 outcome from q": greedy,
        "drew 3 outcomes from q": draw_of_its_own_for_the_path,
        "there is no baseline; subtract the reward of the second draw": critic(
            lambda reward, baseline: reward.detach()
        ),
        "the baseline was added; subtract it": critic(lambda reward, baseline: (reward + baseline).detach()),
        "the baseline is half the other's reward; subtract all of it": critic(
            lambda reward, baseline: (reward - baseline / 2).detach()
        ),
        NO_ENTROPY: critic(reward=lambda log_p, log_q: log_p),
        "the reward adds log q(z); subtract it": critic(reward=lambda log_p, log_q: log_p + log_q),
        NO_PATH: critic(path=lambda log_p, other: 0.0),
        "log_joint of the second draw was subtracted with its path, which leaves none on average": critic(
            path=lambda log_p, other: log_p - other
        ),
        "log_joint of both draws was added; average them": critic(path=lambda log_p, other: log_p + other),
        "the score function averages to 0: the baseline is the reward of the very same draw, log q was detached, or "
        "that of both draws was added up": same_draw_twice,
        "log q was detached, or that of both draws was added up": critic(score=lambda log_q, other: log_q + other),
        "log q was detached": critic(score=lambda log_q, other: log_q.detach()),
        "the sign of the advantage is wrong, or it was multiplied by log q of the baseline's draw": critic(
            lambda reward, baseline: (baseline - reward).detach()
        ),
        "it was multiplied by log q of the baseline's draw": critic(score=lambda log_q, other: other),
        "the difference of both log q makes the gradient twice as long; take half of it": critic(
            score=lambda log_q, other: log_q - other
        ),
        "the size of the advantage was taken; its sign matters": critic(
            lambda reward, baseline: (reward - baseline).abs().detach()
        ),
        DESCENDED: lambda q, log_joint: -self_critic(q, log_joint),
        "log_joint's path was weighted with the advantage; it has weight 1": advantage_on_the_path,
        "the mean of both rewards was subtracted, which halves the gradient; subtract the other's": own_mean,
        "added up over both draws; average them": both_summed,
        "one number is wanted": left_apart,
        "gives another answer when it is called again with the same draws": Remembering(),
    },
    exact=False,
)


def advantages(reward: Tensor) -> Tensor:
    return reward - (reward.sum(0) - reward) / (len(reward) - 1)


def leave_one_out(log_q: Tensor, reward: Tensor) -> Tensor:
    return (advantages(reward.detach()) * log_q).mean(0)


def loop_over_the_left_out(log_q: Tensor, reward: Tensor) -> Tensor:
    terms = []
    for s in range(len(log_q)):
        others = torch.cat([reward[:s], reward[s + 1 :]])
        terms.append((reward[s] - others.mean(0)).detach() * log_q[s])
    return sum(terms) / len(terms)


def rescaled(log_q: Tensor, reward: Tensor) -> Tensor:
    centred = (reward - reward.mean(0, keepdim=True)).detach()
    return torch.einsum("sb,sb->b", centred, log_q) / (len(reward) - 1)


def by_matrix(log_q: Tensor, reward: Tensor) -> Tensor:
    samples = len(reward)
    others = (1 - torch.eye(samples, dtype=reward.dtype)) / (samples - 1)
    with torch.no_grad():
        advantage = reward - others @ reward
    return torch.mean(advantage * log_q, dim=0)


def all_pairs(log_q: Tensor, reward: Tensor) -> Tensor:
    differences = (reward[:, None] - reward[None]).detach() * (log_q[:, None] - log_q[None])
    return differences.sum((0, 1)) / (2 * len(reward) * (len(reward) - 1))


def detached_in_place(log_q: Tensor, reward: Tensor) -> Tensor:
    return (advantages(reward.detach_()) * log_q).mean(0)


def centred_in_place(log_q: Tensor, reward: Tensor) -> Tensor:
    reward = reward.detach()
    reward -= reward.mean(0)
    return (reward * log_q).sum(0) / (len(reward) - 1)


oracle(
    "leave-one-out",
    reference=leave_one_out,
    right={
        "sample by sample": loop_over_the_left_out,
        "the common mean, rescaled": rescaled,
        "a matrix": by_matrix,
        "all pairs": all_pairs,
        "with the mean reward added": lambda log_q, reward: leave_one_out(log_q, reward) + reward.mean(0),
    },
    wrong={
        "the mean holds the sample's own reward, which shrinks the gradient; leave it out": lambda log_q, reward: (
            (reward - reward.mean(0)).detach() * log_q
        ).mean(0),
        "the others' rewards were divided by S; there are S − 1 of them": lambda log_q, reward: (
            (reward - (reward.sum(0) - reward) / len(reward)).detach() * log_q
        ).mean(0),
        "the sum of the others' rewards was subtracted; subtract their mean": lambda log_q, reward: (
            (reward - (reward.sum(0) - reward)).detach() * log_q
        ).mean(0),
        "all rewards were summed for the mean, the sample's own too, and divided by S − 1": lambda log_q, reward: (
            (reward - reward.sum(0) / (len(reward) - 1)).detach() * log_q
        ).mean(0),
        "divided by S − 1 at the end; there are S samples to average": lambda log_q, reward: (
            (advantages(reward.detach()) * log_q).sum(0) / (len(reward) - 1)
        ),
        "summed over the samples; average them": lambda log_q, reward: (advantages(reward.detach()) * log_q).sum(0),
        "there is no baseline; subtract the mean of the others' rewards": lambda log_q, reward: (
            reward.detach() * log_q
        ).mean(0),
        "the mean was taken over the observations, axis 1; the samples are on axis 0": lambda log_q, reward: (
            (reward - (reward.sum(1, keepdim=True) - reward) / (max(reward.shape[1], 2) - 1)).detach() * log_q
        ).mean(0),
        "the mean was taken over samples and observations; each observation has its own": lambda log_q, reward: (
            (reward - (reward.sum() - reward) / (reward.numel() - 1)).detach() * log_q
        ).mean(0),
        "the reward was not detached: a gradient runs through it into the product with log q": lambda log_q, reward: (
            advantages(reward) * log_q
        ).mean(0),
        "the baseline was not detached: a gradient runs through it": lambda log_q, reward: (
            (reward.detach() - (reward - advantages(reward))) * log_q
        ).mean(0),
        "the reward was detached in the baseline alone": lambda log_q, reward: (
            (reward - (reward - advantages(reward)).detach()) * log_q
        ).mean(0),
        "no gradient reaches log_q: detached, or the advantages were averaged by themselves": lambda log_q, reward: (
            advantages(reward.detach()) * log_q.detach()
        ).mean(0),
        DESCENDED: lambda log_q, reward: -leave_one_out(log_q, reward),
        "the advantages were divided by their standard deviation; no scaling belongs here": lambda log_q, reward: (
            (advantages(reward) / (reward.std(0) + 1e-8)).detach() * log_q
        ).mean(0),
        "the advantage was multiplied by q; multiply by log q": lambda log_q, reward: (
            advantages(reward.detach()) * log_q.exp()
        ).mean(0),
        "the advantages were averaged by themselves": lambda log_q, reward: (
            advantages(reward.detach()).mean(0) * log_q.mean(0)
        ),
        "the next sample's reward alone is the baseline; take the mean of all others": lambda log_q, reward: (
            (reward - reward.roll(-1, 0)).detach() * log_q
        ).mean(0),
        "the reward of the sample before alone is the baseline; take the mean of all others": lambda log_q, reward: (
            (reward - reward.roll(1, 0)).detach() * log_q
        ).mean(0),
        "log_q and reward have exchanged roles": lambda log_q, reward: leave_one_out(reward, log_q),
        "the sum of the rewards was added with its path; their mean is what may be added": lambda log_q, reward: (
            leave_one_out(log_q, reward) + reward.sum(0)
        ),
        "one number for each observation is wanted": lambda log_q, reward: leave_one_out(log_q, reward).mean(),
        "returned a tensor of shape": lambda log_q, reward: advantages(reward.detach()) * log_q,
        "one number for each observation": lambda log_q, reward: (advantages(reward.detach()) * log_q).mean(1),
        "changed its argument `reward` in place": detached_in_place,
        "changed its argument `reward`": centred_in_place,
    },
)


def gaussian(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    return -0.5 * ((z - mean) * (-log_scale).exp()) ** 2 - log_scale - 0.5 * math.log(2 * math.pi)


def log_mixture(z: Tensor, logits: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    return (logits.log_softmax(0) + gaussian(z, means, log_scales)).logsumexp(0)


def hybrid_surrogate(logits, means, log_scales, log_joint, component, eps):
    z = means[component] + log_scales[component].exp() * eps
    elbo = log_joint(z) - log_mixture(z, logits, means, log_scales)
    return elbo.detach() * logits.log_softmax(0)[component] + elbo


def distributions(logits, means, log_scales, log_joint, component, eps):
    selector, components = td.Categorical(logits=logits), td.Normal(means, log_scales.exp())
    q = td.MixtureSameFamily(selector, components)
    z = components.loc[component] + components.scale[component] * eps
    reward = log_joint(z) - q.log_prob(z)
    return reward + reward.detach() * selector.log_prob(component)


def one_hot_selection(logits, means, log_scales, log_joint, component, eps):
    chosen = torch.nn.functional.one_hot(component, len(logits)).to(logits)
    z = chosen @ means + (chosen @ log_scales).exp() * eps
    reward = log_joint(z) - log_mixture(z, logits, means, log_scales)
    log_probs = logits - torch.logsumexp(logits, 0)
    return reward + reward.detach() * (chosen * log_probs).sum()


def sticking_the_landing(logits, means, log_scales, log_joint, component, eps):
    """q's density with constant parameters: the gradient that is left out averages to 0."""
    z = means[component] + log_scales[component].exp() * eps
    reward = log_joint(z) - log_mixture(z, logits.detach(), means.detach(), log_scales.detach())
    return reward + reward.detach() * logits.log_softmax(0)[component]


def constant_baseline(logits, means, log_scales, log_joint, component, eps):
    z = means[component] + log_scales[component].exp() * eps
    elbo = log_joint(z) - log_mixture(z, logits, means, log_scales)
    baseline = log_joint(means.detach().mean()).detach()
    return (elbo.detach() - baseline) * logits.log_softmax(0)[component] + elbo


def dice_hybrid(logits, means, log_scales, log_joint, component, eps):
    z = means[component] + log_scales[component].exp() * eps
    log_prob = logits.log_softmax(0)[component]
    return (log_prob - log_prob.detach()).exp() * (log_joint(z) - log_mixture(z, logits, means, log_scales))


def hybrid(
    scale: Callable[[Tensor], Tensor] = torch.exp,
    place: Callable[[Tensor], Tensor] = lambda z: z,
    density: Callable[..., Tensor] = lambda z, c, *parts: log_mixture(z, *parts),
    selector: Callable[..., Tensor] = lambda z, c, logits, means, log_scales: logits.log_softmax(0)[c],
    reward: Callable[[Tensor], Tensor] = torch.Tensor.detach,
    path: Callable[[Tensor, Tensor], Tensor] = lambda log_p, log_q: log_p - log_q,
) -> Callable[..., Tensor]:
    """A variant in one part of the estimator."""

    def variant(logits, means, log_scales, log_joint, component, eps):
        parts = logits, means, log_scales
        z = place(means[component] + scale(log_scales[component]) * eps)
        log_p, log_q = log_joint(z), density(z, component, *parts)
        return reward(log_p - log_q) * selector(z, component, *parts) + path(log_p, log_q)

    return variant


def of_component(z, component, logits, means, log_scales):
    return gaussian(z, means[component], log_scales[component])


def of_both(z, component, logits, means, log_scales):
    return logits.log_softmax(0)[component] + of_component(z, component, logits, means, log_scales)


def average_of_logs(z, component, logits, means, log_scales):
    return (logits.softmax(0) * gaussian(z, means, log_scales)).sum()


def equal_weights(z, component, logits, means, log_scales):
    return log_mixture(z, torch.zeros_like(logits), means, log_scales)


def raw_logits(z, component, logits, means, log_scales):
    return (logits + gaussian(z, means, log_scales)).logsumexp(0)


def constant_density(z, component, *parts):
    return log_mixture(z, *parts).detach()


def no_path_in_density(z, component, *parts):
    return log_mixture(z.detach(), *parts)


def score_function_only(logits, means, log_scales, log_joint, component, eps):
    parts = logits, means, log_scales
    z = (means[component] + log_scales[component].exp() * eps).detach()
    reward = (log_joint(z) - log_mixture(z, *parts)).detach()
    return reward * of_both(z, component, *parts) + log_joint(z)


def of_z_detached(z, component, *parts):
    return of_both(z.detach(), component, *parts)


def mixture_of_z_detached(z, component, *parts):
    return log_mixture(z.detach(), *parts)


def two_densities(in_reward: Callable[..., Tensor], in_path: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A variant whose reward and whose path have different densities."""

    def variant(logits, means, log_scales, log_joint, component, eps):
        parts = logits, means, log_scales
        z = means[component] + log_scales[component].exp() * eps
        reward = (log_joint(z) - in_reward(z, component, *parts)).detach()
        path = log_joint(z) - in_path(z, component, *parts)
        return reward * logits.log_softmax(0)[component] + path

    return variant


def of_mixture(z, component, *parts):
    return log_mixture(z, *parts)


def no_density(z, component, *parts):
    return torch.zeros_like(z)


def own_eps(logits, means, log_scales, log_joint, component, eps):
    return hybrid_surrogate(logits, means, log_scales, log_joint, component, torch.randn_like(eps))


def all_components(logits, means, log_scales, log_joint, component, eps):
    """One eps for each component, weighted with the probabilities but not corrected for the draw."""
    z = (logits.softmax(0) * (means + log_scales.exp() * eps)).sum()
    elbo = log_joint(z) - log_mixture(z, logits, means, log_scales)
    return elbo


def first_component(logits, means, log_scales, log_joint, component, eps):
    return hybrid_surrogate(logits, means, log_scales, log_joint, torch.zeros_like(component), eps)


oracle(
    "hybrid-mixture",
    reference=hybrid_surrogate,
    right={
        "distributions": distributions,
        "a one-hot selection": one_hot_selection,
        "sticking the landing": sticking_the_landing,
        "a constant baseline": constant_baseline,
        "DiCE": dice_hybrid,
    },
    wrong={
        "the selector's score function, reward · ∇ log softmax(logits)[component], is missing beside the path": (
            hybrid(reward=lambda reward: torch.zeros_like(reward))
        ),
        "the reward has the density of the chosen component; − log q(z) is that of the whole mixture": hybrid(
            density=of_component
        ),
        "the factor of the score function has the density of the chosen component; − log q(z) is the mixture's there, "
        "too": two_densities(of_component, of_mixture),
        "the path has the density of the chosen component; − log q(z) is that of the whole mixture": two_densities(
            of_mixture, of_component
        ),
        "the factor of the score function is log_joint alone; − log q(z) belongs to it": two_densities(
            no_density, of_mixture
        ),
        "the reward has the joint density of z and component; − log q(z) is the mixture's, without a component": hybrid(
            density=of_both
        ),
        "log q(z) is the average of the components' logs; take the log of their average": hybrid(
            density=average_of_logs
        ),
        "log q(z) weights all components alike; their weights are softmax(logits)": hybrid(density=equal_weights),
        "log q(z) was made from logits that were not normalised": hybrid(density=raw_logits),
        "the reward is log_joint alone; − log q(z) belongs to it": hybrid(
            density=lambda z, *parts: torch.zeros_like(z)
        ),
        "the reward adds log q(z); subtract it": hybrid(density=lambda z, c, *parts: -log_mixture(z, *parts)),
        "the reward was not detached: a gradient runs through it into the product with log softmax(logits)": hybrid(
            reward=lambda reward: reward
        ),
        "z was detached: no path leads into means and log_scales": hybrid(place=torch.Tensor.detach),
        "no path runs through − log q(z): all of it was detached, or z in it": hybrid(density=constant_density),
        "was detached, or z in it": hybrid(density=no_path_in_density),
        "the path runs through the reward of log q(z) alone: log_joint(z) is missing": hybrid(
            path=lambda log_p, log_q: -log_q
        ),
        "there is no path: the reward must be added to its product with log softmax(logits)": hybrid(
            path=lambda log_p, log_q: torch.zeros_like(log_q)
        ),
        "unbiased, but means and log_scales were reached by the score function; take the path, it varies less": (
            score_function_only
        ),
        "the score function of the component's density was added to the path: its gradient counts twice": hybrid(
            selector=of_z_detached
        ),
        "the score function is that of the mixture's density; the selector's is log softmax(logits)[component]": hybrid(
            selector=mixture_of_z_detached
        ),
        "is missing beside the path": hybrid(selector=lambda z, c, logits, *rest: logits.log_softmax(0)[c].detach()),
        "the score function is of the mixture's density, with a path through z; take log softmax(logits)[component]": (
            hybrid(selector=of_mixture)
        ),
        "the score function has the component's density, with a path through z; log softmax(logits) is enough": (
            hybrid(selector=of_both)
        ),
        "the score function took the logit itself; take log softmax(logits)": hybrid(
            selector=lambda z, c, logits, *rest: logits[c]
        ),
        "the score function took the probability; take its logarithm": hybrid(
            selector=lambda z, c, logits, *rest: logits.softmax(0)[c]
        ),
        "the score function was summed over all components; take the chosen one's": hybrid(
            selector=lambda z, c, logits, *rest: logits.log_softmax(0).sum()
        ),
        "log_scales were used as scales; take exp": hybrid(scale=lambda log_scale: log_scale),
        "log_scales were halved, as log-variances are; here they are log σ": hybrid(
            scale=lambda log_scale: (0.5 * log_scale).exp()
        ),
        "log_scales were halved in z and in log q(z), as log-variances are; here they are log σ": hybrid(
            scale=lambda log_scale: (0.5 * log_scale).exp(),
            density=lambda z, c, logits, means, log_scales: log_mixture(z, logits, means, 0.5 * log_scales),
        ),
        "log_scales were halved in log q(z), as log-variances are; here they are log σ": hybrid(
            density=lambda z, c, logits, means, log_scales: log_mixture(z, logits, means, 0.5 * log_scales)
        ),
        "z was scaled with the variance; exp(log_scales) is the standard deviation": hybrid(
            scale=lambda log_scale: (2 * log_scale).exp()
        ),
        "the scale was detached: no path leads into log_scales": hybrid(
            scale=lambda log_scale: log_scale.exp().detach()
        ),
        "the score function has the wrong sign": hybrid(reward=lambda reward: -reward.detach()),
        "the sign is wrong; a surrogate is ascended": lambda *arguments: -hybrid_surrogate(*arguments),
        "z is the average over all components; it lies in the chosen one": all_components,
        "component was not used: z lies in the first one": first_component,
        "draws random numbers of its own": own_eps,
        "one number is wanted": lambda logits, *rest: hybrid_surrogate(logits, *rest) + 0 * logits,
        "returned a float; its signature promises a tensor": lambda *arguments: hybrid_surrogate(*arguments).item(),
    },
    exact=False,
)
