"""Who decides in lab 05: oracles, right answers in other styles, and wrong ones under the sentence that names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch import distributions as td

from lvmlib.grading.judges import oracle

Decoder = Callable[[Tensor], Tensor]


def gaussian(mean: Tensor, log_var: Tensor) -> td.Independent:
    return td.Independent(td.Normal(mean, (log_var / 2).exp()), 1)


def standard_like(mean: Tensor) -> td.Independent:
    return gaussian(torch.zeros_like(mean), torch.zeros_like(mean))


def kl(mean: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)


def beta_vae_loss(nll: Tensor, mean: Tensor, log_var: Tensor, beta: float) -> Tensor:
    return (nll + beta * kl(mean, log_var)).mean()


def loss_by_item(nll: Tensor, mean: Tensor, log_var: Tensor, beta: float) -> Tensor:
    total = nll.new_zeros(())
    for b in range(len(nll)):
        rate = sum((m * m + s.exp() - 1 - s) / 2 for m, s in zip(mean[b], log_var[b], strict=True))
        total = total + nll[b] + beta * rate
    return total / len(nll)


def with_kl(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A β-VAE's loss whose KL divergence is another function of mean and log_var."""
    return lambda nll, mean, log_var, beta: (nll + beta * change(mean, log_var)).mean()


def with_beta(change: Callable[[float, Tensor], float]) -> Callable[..., Tensor]:
    """A β-VAE's loss in which β, seen with the means, was turned into another number."""
    return lambda nll, mean, log_var, beta: beta_vae_loss(nll, mean, log_var, change(beta, mean))


def terms(mean: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var)


oracle(
    "beta-vae-loss",
    reference=lambda nll, mean, log_var, beta: (
        nll + beta * td.kl_divergence(gaussian(mean, log_var), standard_like(mean))
    ).mean(),
    right={
        "one line": beta_vae_loss,
        "two means": lambda nll, mean, log_var, beta: nll.mean() + beta * kl(mean, log_var).mean(),
        "observation by observation": loss_by_item,
        "expm1 and sums over counts": lambda nll, mean, log_var, beta: (
            (nll.sum() + 0.5 * beta * (mean.square() + torch.expm1(log_var) - log_var).sum()) / nll.shape[0]
        ),
        "einsum": lambda nll, mean, log_var, beta: (
            torch.einsum("b->", nll) / len(nll)
            + beta / (2 * len(nll)) * torch.einsum("bk->", mean * mean + log_var.exp() - 1 - log_var)
        ),
        "minus the textbook's line": lambda nll, mean, log_var, beta: torch.mean(
            nll - beta * 0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp(), dim=1), dim=0
        ),
        "ELBO with a second share of the KL": lambda nll, mean, log_var, beta: (
            (nll + kl(mean, log_var)).mean() + (beta - 1) * kl(mean, log_var).mean()
        ),
    },
    wrong={
        "β is on the reconstruction; it weighs the KL divergence": lambda nll, mean, log_var, beta: (
            beta * nll + kl(mean, log_var)
        ).mean(),
        "β weighs both terms; only the KL divergence is weighted": lambda nll, mean, log_var, beta: (
            beta * (nll + kl(mean, log_var)).mean()
        ),
        "β is missing": with_beta(lambda beta, mean: 1.0),
        "divided by β; multiply the KL divergence by it": with_beta(lambda beta, mean: 1 / beta if beta else 0.0),
        "β was squared": with_beta(lambda beta, mean: beta**2),
        "β − 1 weighs the KL divergence; that is what β adds to the ELBO's share of 1": with_beta(
            lambda beta, mean: beta - 1
        ),
        "1 + β weighs the KL divergence": with_beta(lambda beta, mean: 1 + beta),
        "β was cut off at 1; a β-VAE's β may be larger": with_beta(lambda beta, mean: min(beta, 1.0)),
        "β was never let below 1; smaller ones are useful too": with_beta(lambda beta, mean: max(beta, 1.0)),
        "a mixture of 1 − β and β: the reconstruction has weight 1": lambda nll, mean, log_var, beta: (
            (1 - beta) * nll + beta * kl(mean, log_var)
        ).mean(),
        "β was multiplied by the number of latents": with_beta(lambda beta, mean: beta * mean.shape[1]),
        "averaged over the latents; a KL sums over them": with_beta(lambda beta, mean: beta / mean.shape[1]),
        "the KL divergence was summed over the batch and averaged over the latents; it is the other way round": with_kl(
            lambda mean, log_var: terms(mean, log_var).sum(0).mean()
        ),
        "the KL divergence was summed over the batch; average it, as the nll is": lambda nll, mean, log_var, beta: (
            nll.mean() + beta * kl(mean, log_var).sum()
        ),
        "the nll was summed over the batch; average it, as the KL divergence is": lambda nll, mean, log_var, beta: (
            nll.sum() + beta * kl(mean, log_var).mean()
        ),
        "summed over the batch; average over it": lambda nll, mean, log_var, beta: (
            nll + beta * kl(mean, log_var)
        ).sum(),
        "left one value for each observation; average them": lambda nll, mean, log_var, beta: (
            nll + beta * kl(mean, log_var)
        ),
        "the KL divergence was subtracted; it is a price, add it": with_beta(lambda beta, mean: -beta),
        "the sign is wrong: this is to be maximised": lambda nll, mean, log_var, beta: (
            -beta_vae_loss(nll, mean, log_var, beta)
        ),
        "the nll was subtracted; it is a loss already": lambda nll, mean, log_var, beta: beta_vae_loss(
            -nll, mean, log_var, beta
        ),
        "the nll is missing": lambda nll, mean, log_var, beta: beta * kl(mean, log_var).mean(),
        "the factor ½ of the KL divergence is missing": with_beta(lambda beta, mean: 2 * beta),
        "log_var was read as log σ; here log_var = log σ²": with_kl(lambda mean, log_var: kl(mean, 2 * log_var)),
        "exp(log_var / 2) is the standard deviation; the KL takes the variance, exp(log_var)": with_kl(
            lambda mean, log_var: 0.5 * (mean**2 + (log_var / 2).exp() - 1 - log_var).sum(-1)
        ),
        "log_var was added in the KL divergence; subtract it": with_kl(
            lambda mean, log_var: 0.5 * (mean**2 + log_var.exp() - 1 + log_var).sum(-1)
        ),
        "exp(log_var) is the variance; it was squared once more": with_kl(
            lambda mean, log_var: 0.5 * (mean**2 + (2 * log_var).exp() - 1 - log_var).sum(-1)
        ),
        "mean enters the KL divergence squared": with_kl(lambda mean, log_var: kl(mean.abs().sqrt(), log_var)),
        "the −1 of the KL divergence is missing": with_kl(lambda mean, log_var: kl(mean, log_var) + mean.shape[1] / 2),
        "this is KL(prior ‖ posterior); the two are exchanged": with_kl(
            lambda mean, log_var: td.kl_divergence(standard_like(mean), gaussian(mean, log_var))
        ),
        "log_var was clamped; the KL is right for every log_var": with_kl(
            lambda mean, log_var: kl(mean, log_var.clamp(-10, 10))
        ),
        "no gradient reaches the KL divergence": with_kl(lambda mean, log_var: kl(mean, log_var).detach()),
        "no gradient reaches log_var": with_kl(lambda mean, log_var: kl(mean, log_var.detach())),
        "no gradient reaches nll": lambda nll, mean, log_var, beta: beta_vae_loss(nll.detach(), mean, log_var, beta),
        "no gradient reaches nll, mean and log_var: the loss was detached": lambda nll, mean, log_var, beta: (
            beta_vae_loss(nll, mean, log_var, beta).detach()
        ),
        "returned a float; its signature promises a tensor": lambda nll, mean, log_var, beta: float(
            beta_vae_loss(nll, mean, log_var, beta)
        ),
    },
)


def linear_rates(eigenvalues: Tensor, latent: int, variance: float, beta: float) -> Tensor:
    """Largest first; where eigenvalues run out, units have nothing to carry."""
    return rates_from(eigenvalues.sort(descending=True).values, latent, variance, beta)


def padded(rates: Tensor, latent: int) -> Tensor:
    return torch.cat([rates[:latent], rates.new_zeros(max(0, latent - len(rates)))])


def rates_from(eigenvalues: Tensor, latent: int, variance: float, beta: float) -> Tensor:
    """Rates of the eigenvalues as they come."""
    return padded((0.5 * torch.log(eigenvalues / (beta * variance))).clamp(min=0), latent)


def rates_by_unit(eigenvalues: Tensor, latent: int, variance: float, beta: float) -> Tensor:
    rates = []
    for eigenvalue in sorted(eigenvalues.tolist(), reverse=True)[:latent]:
        active = eigenvalue > beta * variance
        rates.append(0.5 * math.log(eigenvalue / (beta * variance)) if active else 0.0)
    rates += [0.0] * (latent - len(rates))
    return torch.tensor(rates, dtype=eigenvalues.dtype)


def rates_by_topk(eigenvalues: Tensor, latent: int, variance: float, beta: float) -> Tensor:
    rates = torch.zeros(latent, dtype=eigenvalues.dtype)
    largest = torch.topk(eigenvalues, min(latent, len(eigenvalues))).values
    threshold = beta * variance
    for j, eigenvalue in enumerate(largest):
        if eigenvalue > threshold:
            rates[j] = 0.5 * (eigenvalue.log() - math.log(threshold))
    return rates


def rates_by_numpy(eigenvalues: Tensor, latent: int, variance: float, beta: float) -> Tensor:
    spectrum = np.zeros(max(latent, len(eigenvalues)))
    spectrum[: len(eigenvalues)] = np.sort(eigenvalues.numpy())[::-1]
    rates = 0.5 * np.log(np.maximum(spectrum, beta * variance) / (beta * variance))
    return torch.from_numpy(rates[:latent]).to(eigenvalues.dtype)


def rates_by_where(eigenvalues: Tensor, latent: int, variance: float, beta: float) -> Tensor:
    """Units without an eigenvalue get one of 0."""
    largest = torch.cat([eigenvalues, eigenvalues.new_zeros(latent)]).sort(descending=True)[0][:latent]
    rates = 0.5 * (largest / beta / variance).log()
    return torch.where(largest > beta * variance, rates, torch.zeros_like(rates))


def rate_as(
    change: Callable[[Tensor, float, float], Tensor], active: Callable[[Tensor, float, float], Tensor] | None = None
) -> Callable[..., Tensor]:
    """Rates, largest eigenvalue first, by another formula of (λ, σ², β), and by another condition if there is one."""

    def rates(eigenvalues: Tensor, latent: int, variance: float, beta: float) -> Tensor:
        largest = eigenvalues.sort(descending=True).values
        found = change(largest, variance, beta)
        chosen = found > 0 if active is None else active(largest, variance, beta)
        return padded(torch.where(chosen, found, 0.0), latent)

    return rates


def rate(eigenvalues: Tensor, variance: float, beta: float) -> Tensor:
    return 0.5 * (eigenvalues / (beta * variance)).log()


def everywhere(eigenvalues: Tensor, variance: float, beta: float) -> Tensor:
    return torch.ones_like(eigenvalues, dtype=torch.bool)


oracle(
    "linear-rates",
    reference=linear_rates,
    right={
        "unit by unit": rates_by_unit,
        "the largest by topk": rates_by_topk,
        "NumPy": rates_by_numpy,
        "where, after padding with zeros": rates_by_where,
        "a ReLU of a difference of logarithms": lambda eigenvalues, latent, variance, beta: padded(
            torch.relu(eigenvalues.sort().values.flip(0).log() / 2 - math.log(beta * variance) / 2), latent
        ),
        "eigenvalues raised to the threshold first": lambda eigenvalues, latent, variance, beta: padded(
            torch.log(torch.clamp(eigenvalues.sort(descending=True)[0], min=beta * variance) / (beta * variance)) / 2,
            latent,
        ),
    },
    wrong={
        "β is forgotten: a unit is active where λ > βσ²": rate_as(lambda lam, variance, beta: rate(lam, variance, 1)),
        "β counts for the threshold and is forgotten in the rate": rate_as(
            lambda lam, variance, beta: rate(lam, variance, 1),
            active=lambda lam, variance, beta: lam > beta * variance,
        ),
        "β counts for the rate and is forgotten in the threshold": rate_as(
            rate, active=lambda lam, variance, beta: lam > variance
        ),
        "the variance is forgotten: the threshold is βσ²": rate_as(lambda lam, variance, beta: rate(lam, 1, beta)),
        "a rate is never negative; a unit below the threshold has rate 0": rate_as(rate, active=everywhere),
        "the absolute value was taken; a unit below the threshold has rate 0": rate_as(
            lambda lam, variance, beta: rate(lam, variance, beta).abs(), active=everywhere
        ),
        "this is in bits; rates here are in nats": rate_as(
            lambda lam, variance, beta: rate(lam, variance, beta) / math.log(2)
        ),
        "this is a decimal logarithm; rates here are in nats": rate_as(
            lambda lam, variance, beta: rate(lam, variance, beta) / math.log(10)
        ),
        "the factor ½ is missing": rate_as(lambda lam, variance, beta: 2 * rate(lam, variance, beta)),
        "λ was divided by σ; variance is σ² already, so no root": rate_as(
            lambda lam, variance, beta: rate(lam, math.sqrt(variance), beta)
        ),
        "variance was squared; it is σ² already": rate_as(lambda lam, variance, beta: rate(lam, variance**2, beta)),
        "β was squared": rate_as(lambda lam, variance, beta: rate(lam, variance, beta**2)),
        "the root of β was taken": rate_as(lambda lam, variance, beta: rate(lam, variance, math.sqrt(beta))),
        "λ was multiplied by β; a larger β switches units off": rate_as(
            lambda lam, variance, beta: rate(lam, variance, 1 / beta)
        ),
        "λ was multiplied by the variance; divide by it": rate_as(
            lambda lam, variance, beta: rate(lam, 1 / variance, beta)
        ),
        "the ratio is upside down": rate_as(lambda lam, variance, beta: -rate(lam, variance, beta), active=everywhere),
        "½ log(1 + λ/(βσ²)) is the capacity of a noisy channel; here it is ½ log(λ/(βσ²))": rate_as(
            lambda lam, variance, beta: 0.5 * (1 + lam / (beta * variance)).log()
        ),
        "½ log(λ − βσ²): divide by βσ², do not subtract": rate_as(
            lambda lam, variance, beta: 0.5 * (lam - beta * variance).log(),
            active=lambda lam, variance, beta: lam > beta * variance,
        ),
        "½ log(λ/(βσ²) − 1): the 1 is not subtracted": rate_as(
            lambda lam, variance, beta: 0.5 * (lam / (beta * variance) - 1).clamp(min=1).log()
        ),
        "σ² was subtracted from λ; the data's eigenvalues hold the noise already": rate_as(
            lambda lam, variance, beta: rate(lam - variance, variance, beta).nan_to_num(0, 0, 0)
        ),
        "the eigenvalues were not sorted; the first unit takes the largest": rates_from,
        "the first eigenvalues were taken and then sorted; sort all of them first": (
            lambda eigenvalues, latent, variance, beta: linear_rates(eigenvalues[:latent], latent, variance, beta)
        ),
        "the smallest eigenvalues were taken; the units take the largest": (
            lambda eigenvalues, latent, variance, beta: rates_from(eigenvalues.sort().values, latent, variance, beta)
        ),
        "the rates rise; the largest comes first": lambda eigenvalues, latent, variance, beta: linear_rates(
            eigenvalues, latent, variance, beta
        ).flip(0),
        "latent was ignored; one rate for each latent is wanted": lambda eigenvalues, latent, variance, beta: (
            linear_rates(eigenvalues, len(eigenvalues), variance, beta)
        ),
        "units without an eigenvalue are missing; with more latents than eigenvalues their rate is 0": (
            lambda eigenvalues, latent, variance, beta: linear_rates(
                eigenvalues, min(latent, len(eigenvalues)), variance, beta
            )
        ),
        "inactive units were left out; their rate is 0": lambda eigenvalues, latent, variance, beta: linear_rates(
            eigenvalues, latent, variance, beta
        )[linear_rates(eigenvalues, latent, variance, beta) > 0],
        "the rates were added up; one for each latent is wanted": lambda eigenvalues, latent, variance, beta: (
            linear_rates(eigenvalues, latent, variance, beta).sum()
        ),
        "the ratio λ/(βσ²) was returned; its logarithm, halved, is the rate": rate_as(
            lambda lam, variance, beta: lam / (beta * variance),
            active=lambda lam, variance, beta: lam > beta * variance,
        ),
        "these are ones for active units; their rates are wanted": rate_as(
            lambda lam, variance, beta: (lam > beta * variance).to(lam)
        ),
        "the threshold is the mean of the eigenvalues; it is βσ²": rate_as(
            rate, active=lambda lam, variance, beta: lam > torch.maximum(lam.mean(), lam.new_tensor(beta * variance))
        ),
        "changed its argument `eigenvalues` in place": lambda eigenvalues, latent, variance, beta: linear_rates(
            eigenvalues.div_(variance), latent, 1, beta
        ),
        "returned a list; its signature promises a tensor": lambda *arguments: linear_rates(*arguments).tolist(),
    },
)


def codes_along(z: Tensor, dim: int, values: Tensor) -> Tensor:
    codes = z.repeat(len(values), 1)
    codes[:, dim] = values
    return codes


def traverse(decoder: Decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    return decoder(codes_along(z, dim, values))


def row_by_loop(decoder: Decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    rows = []
    for value in values:
        moved = z.clone()
        moved[dim] = value
        rows.append(decoder(moved.unsqueeze(0)))
    return torch.cat(rows, dim=0)


def row_by_stack(decoder: Decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    columns = [values if k == dim else z[k].expand(len(values)) for k in range(len(z))]
    with torch.no_grad():
        return decoder(torch.stack(columns, dim=1))


def row_by_mask(decoder: Decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    chosen = torch.arange(z.numel()) == dim
    return decoder(torch.where(chosen, values[:, None], z[None, :]))


def row_by_difference(decoder: Decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    direction = torch.nn.functional.one_hot(torch.tensor(dim), len(z)).to(z)
    return decoder(z + (values - z[dim])[:, None] * direction)


def row_by_numpy(decoder: Decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    codes = np.tile(z.detach().numpy(), (len(values), 1))
    codes[:, dim] = values.numpy()
    return decoder(torch.from_numpy(codes))


def along(change: Callable[[Tensor, int, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A traversal whose codes are another function of the base, the dimension and the values."""
    return lambda decoder, z, dim, values: decoder(change(z, dim, values))


def edits_base(decoder: Decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    rows = []
    for value in values:
        z[dim] = value
        rows.append(decoder(z[None].clone()))
    return torch.cat(rows)


def accumulated(z: Tensor, dim: int, values: Tensor) -> Tensor:
    """Each step starts where the last one ended."""
    codes = codes_along(z, dim, values)
    codes[:, dim] = z[dim] + values.cumsum(0)
    return codes


def in_one_row(z: Tensor, dim: int, values: Tensor) -> Tensor:
    codes = z.repeat(len(values), 1)
    codes[dim % len(values)] = values[0]
    return codes


def shared_memory(decoder: Decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    """One row of memory under all codes, so that the last value is seen everywhere."""
    return decoder(codes_along(z, dim, values[-1:]).expand(len(values), -1))


oracle(
    "traverse",
    reference=traverse,
    right={
        "a loop over batches of one": row_by_loop,
        "columns stacked, without gradients": row_by_stack,
        "where": row_by_mask,
        "from the base by a difference": row_by_difference,
        "NumPy": row_by_numpy,
        "expanded, cloned and filled by index_fill and a loop": lambda decoder, z, dim, values: decoder(
            torch.stack([z.index_fill(0, torch.tensor([dim]), value.item()) for value in values])
        ).detach(),
    },
    wrong={
        "moves the base by each value; set the entry to it": along(
            lambda z, dim, values: z + values[:, None] * torch.eye(len(z)).to(z)[dim]
        ),
        "decodes the base again and again; the moved codes are never used": along(
            lambda z, dim, values: z.repeat(len(values), 1)
        ),
        "changed its argument `z` in place": edits_base,
        "moves every latent; only entry `dim` moves": along(
            lambda z, dim, values: values[:, None].expand(-1, len(z)).clone()
        ),
        "the other latents were set to 0; they stay those of the base": along(
            lambda z, dim, values: codes_along(torch.zeros_like(z), dim, values)
        ),
        "each value was added to all latents": along(lambda z, dim, values: z + values[:, None]),
        "moves the entry after `dim`; indices count from 0": along(
            lambda z, dim, values: codes_along(z, (dim + 1) % len(z), values)
        ),
        "moves the entry before `dim`; indices count from 0": along(
            lambda z, dim, values: codes_along(z, dim - 1, values)
        ),
        "moves latent 0 whatever `dim` is": along(lambda z, dim, values: codes_along(z, 0, values)),
        "moves the last latent whatever `dim` is": along(lambda z, dim, values: codes_along(z, -1, values)),
        "the values were sorted; keep their order": along(
            lambda z, dim, values: codes_along(z, dim, values.sort().values)
        ),
        "the values come in reverse": along(lambda z, dim, values: codes_along(z, dim, values.flip(0))),
        "all codes share the last value": shared_memory,
        "all codes share the first value": along(
            lambda z, dim, values: codes_along(z, dim, values[:1].expand_as(values))
        ),
        "each step was added to the one before; all start from the same base": along(accumulated),
        "the value was scaled by the base's entry; set the entry to it": along(
            lambda z, dim, values: codes_along(z, dim, z[dim] * values)
        ),
        "the values were replaced by even steps between their ends; use them as they are": along(
            lambda z, dim, values: codes_along(
                z, dim, torch.linspace(float(values.min()), float(values.max()), len(values), dtype=values.dtype)
            )
        ),
        "the values were cut off at ±3; use them as they are": along(
            lambda z, dim, values: codes_along(z, dim, values.clamp(-3, 3))
        ),
        "a row of the batch was set; entry `dim` is a column": along(in_one_row),
        "the codes were returned; decode them": lambda decoder, z, dim, values: codes_along(z, dim, values),
        "only the difference to the decoded base was returned": lambda decoder, z, dim, values: (
            traverse(decoder, z, dim, values) - decoder(z[None])
        ),
        "the base itself was put in front; one output for each value is wanted": lambda decoder, z, dim, values: (
            torch.cat([decoder(z[None]), traverse(decoder, z, dim, values)])
        ),
        "only the last output was returned; one for each value is wanted": lambda decoder, z, dim, values: traverse(
            decoder, z, dim, values
        )[-1:],
        "kept an axis of length 1; the first axis is that of the values": lambda decoder, z, dim, values: traverse(
            decoder, z, dim, values
        )[:, None],
        "all outputs were flattened; keep the decoder's shape": lambda decoder, z, dim, values: traverse(
            decoder, z, dim, values
        ).reshape(len(values), -1, 1),
        "a sigmoid was taken of what was decoded": lambda decoder, z, dim, values: traverse(
            decoder, z, dim, values
        ).sigmoid(),
        "the decoder takes codes of shape (n, ": lambda decoder, z, dim, values: torch.stack(
            [decoder(code) for code in codes_along(z, dim, values)]
        ),
        "the codes were handed over transposed": lambda decoder, z, dim, values: decoder(codes_along(z, dim, values).T),
        "returned a list; its signature promises a tensor": lambda decoder, z, dim, values: [
            *traverse(decoder, z, dim, values)
        ],
        "returned a tensor made of float32 whatever the codes are": lambda decoder, z, dim, values: traverse(
            decoder, z, dim, values
        ).float(),
    },
)


def traversal_grid(decoder: Decoder, z: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    return torch.stack([traverse(decoder, z, dim, values) for dim in dims])


def grid_in_one_call(decoder: Decoder, z: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    codes = z.expand(len(dims), len(values), -1).clone()
    for row, dim in enumerate(dims):
        codes[row, :, dim] = values
    return decoder(codes.flatten(0, 1)).unflatten(0, (len(dims), len(values)))


def grid_by_cells(decoder: Decoder, z: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    rows = [[row_by_loop(decoder, z, dim, value[None])[0] for value in values] for dim in dims]
    return torch.stack([torch.stack(row) for row in rows])


@torch.no_grad()
def grid_filled(decoder: Decoder, z: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    shape = decoder(z[None]).shape[1:]
    grid = torch.empty(len(dims), len(values), *shape, dtype=z.dtype)
    for row, dim in enumerate(dims):
        grid[row] = row_by_mask(decoder, z, dim, values)
    return grid


@torch.inference_mode()
def grid_by_scatter(decoder: Decoder, z: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    base = z.view(1, 1, -1).repeat(len(dims), len(values), 1)
    where = torch.tensor(dims).view(-1, 1, 1).expand(-1, len(values), 1)
    codes = base.scatter(2, where, values.view(1, -1, 1).expand(len(dims), -1, 1))
    outputs = decoder(codes.reshape(-1, len(z)))
    return outputs.reshape(len(dims), len(values), *outputs.shape[1:])


def grid_accumulated(decoder: Decoder, z: Tensor, dims: Sequence[int], values: Tensor, reset: float | None = None):
    """The base of each row is the last code of the row before, or has 0 where that moved."""
    base, rows = z.clone(), []
    for dim in dims:
        rows.append(traverse(decoder, base, dim, values))
        base[dim] = values[-1] if reset is None else reset
    return torch.stack(rows)


def grid_in_one_memory(decoder: Decoder, z: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    """All rows write into the same codes, and none sets back what it wrote."""
    codes, rows = z.repeat(len(values), 1), []
    for dim in dims:
        codes[:, dim] = values
        rows.append(decoder(codes.clone()))
    return torch.stack(rows)


def grid_edits_base(decoder: Decoder, z: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    return torch.stack([edits_base(decoder, z, dim, values) for dim in dims])


def rows(change: Callable[[Tensor, int, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A grid whose rows have codes of another kind."""
    return lambda decoder, z, dims, values: torch.stack([decoder(change(z, dim, values)) for dim in dims])


def grid(change: Callable[[Tensor, Sequence[int], Tensor], Tensor]) -> Callable[..., Tensor]:
    """A variant that does something else to a grid that is right."""
    return lambda decoder, z, dims, values: change(traversal_grid(decoder, z, dims, values), dims, values)


def all_at_once(z: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    codes = z.repeat(len(values), 1)
    codes[:, list(dims)] = values[:, None]
    return codes


def one_row_transposed(grid: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    return grid.flatten(0, 1).unflatten(0, (len(values), len(dims))).transpose(0, 1)


oracle(
    "traversal-grid",
    reference=traversal_grid,
    right={
        "one call for the whole grid": grid_in_one_call,
        "cell by cell": grid_by_cells,
        "filled row by row without gradients": grid_filled,
        "codes by scatter": grid_by_scatter,
        "rows concatenated": lambda decoder, z, dims, values: torch.cat(
            [row_by_difference(decoder, z, dim, values).unsqueeze(0) for dim in dims]
        ),
    },
    wrong={
        "rows accumulate: each starts from where the one before ended, not from the base": grid_accumulated,
        "rows accumulate: what an earlier row moved is 0 afterwards; set it back to the base": (
            lambda decoder, z, dims, values: grid_accumulated(decoder, z, dims, values, reset=0.0)
        ),
        "rows accumulate: the codes of a row still hold what earlier rows set; take fresh copies of the base": (
            grid_in_one_memory
        ),
        "changed its argument `z` in place": grid_edits_base,
        "changed its argument `dims` in place": lambda decoder, z, dims, values: torch.stack(
            [traverse(decoder, z, dims.pop(0), values) for _ in range(len(dims))]
        ),
        "moves the base by each value; set the entry to it": rows(
            lambda z, dim, values: z + values[:, None] * torch.eye(len(z)).to(z)[dim]
        ),
        "decodes the base again and again; the moved codes are never used": rows(
            lambda z, dim, values: z.repeat(len(values), 1)
        ),
        "the other latents were set to 0; they stay those of the base": rows(
            lambda z, dim, values: codes_along(torch.zeros_like(z), dim, values)
        ),
        "moves the entry after each of `dims`; indices count from 0": rows(
            lambda z, dim, values: codes_along(z, (dim + 1) % len(z), values)
        ),
        "moves the entry before each of `dims`; indices count from 0": rows(
            lambda z, dim, values: codes_along(z, dim - 1, values)
        ),
        "row i moves latent i; it should move latent dims[i]": lambda decoder, z, dims, values: traversal_grid(
            decoder, z, range(len(dims)), values
        ),
        "`dims` was sorted; the rows come in the order of dims": lambda decoder, z, dims, values: traversal_grid(
            decoder, z, sorted(dims), values
        ),
        "the rows come in reverse": lambda decoder, z, dims, values: traversal_grid(decoder, z, dims[::-1], values),
        "each of `dims` has one row only; a dim that comes twice has two": lambda decoder, z, dims, values: (
            traversal_grid(decoder, z, list(dict.fromkeys(dims)), values)
        ),
        "every row moves the first of `dims`": lambda decoder, z, dims, values: traversal_grid(
            decoder, z, [dims[0]] * len(dims), values
        ),
        "every row moves the last of `dims`": lambda decoder, z, dims, values: traversal_grid(
            decoder, z, [dims[-1]] * len(dims), values
        ),
        "every row moves all of `dims` together; each moves its own": lambda decoder, z, dims, values: (
            decoder(all_at_once(z, dims, values)).expand(len(dims), *[-1] * decoder(z[None]).dim()).clone()
        ),
        "all latents were traversed; only those of `dims` are asked for": lambda decoder, z, dims, values: (
            traversal_grid(decoder, z, range(len(z)), values)
        ),
        "the values were sorted; keep their order": lambda decoder, z, dims, values: traversal_grid(
            decoder, z, dims, values.sort().values
        ),
        "the values come in reverse": lambda decoder, z, dims, values: traversal_grid(decoder, z, dims, values.flip(0)),
        "every second row runs backwards": grid(
            lambda found, dims, values: torch.stack(
                [row.flip(0) if place % 2 else row for place, row in enumerate(found)]
            )
        ),
        "rows and columns are exchanged: axis 0 is dims, axis 1 values": grid(
            lambda found, dims, values: found.transpose(0, 1)
        ),
        "the outputs were made value by value and reshaped as if dim by dim": grid(
            lambda found, dims, values: found.transpose(0, 1).reshape(found.shape)
        ),
        "the outputs were made dim by dim and reshaped as if value by value": grid(one_row_transposed),
        "one long row; its first axis is to be split into dims and values": grid(
            lambda found, dims, values: found.flatten(0, 1)
        ),
        "only the last row was returned": grid(lambda found, dims, values: found[-1:]),
        "the base was put in front of every row; one output for each value is wanted": (
            lambda decoder, z, dims, values: torch.stack(
                [torch.cat([decoder(z[None]), traverse(decoder, z, dim, values)]) for dim in dims]
            )
        ),
        "the decoder takes codes of shape (n, ": lambda decoder, z, dims, values: decoder(
            torch.stack([codes_along(z, dim, values) for dim in dims])
        ),
        "returned a list; its signature promises a tensor": grid(lambda found, dims, values: [*found]),
    },
)


def shares(*labels: Tensor) -> Tensor:
    """The joint distribution of one or two columns of labels, as counted."""
    numbered = [column.unique(return_inverse=True) for column in labels]
    table = torch.zeros(*(len(levels) for levels, _ in numbered), dtype=torch.float64)
    ones = torch.ones(len(labels[0]), dtype=torch.float64)
    return table.index_put([index for _, index in numbered], ones, accumulate=True) / len(labels[0])


def entropy(p: Tensor) -> Tensor:
    return -torch.xlogy(p, p).sum()


def information(one: Tensor, other: Tensor) -> Tensor:
    joint = shares(one, other)
    independent = joint.sum(1, keepdim=True) * joint.sum(0)
    return (torch.xlogy(joint, joint) - torch.xlogy(joint, independent)).sum()


def each_pair(measure: Callable[[Tensor, Tensor], Tensor], codes: Tensor, factors: Tensor) -> Tensor:
    """A measure of every code and every factor, shape (K, F)."""
    return torch.stack([torch.stack([measure(code, factor) for factor in factors.T]) for code in codes.T])


def informations(codes: Tensor, factors: Tensor) -> Tensor:
    """I(code; factor) of every pair in nats, shape (K, F)."""
    return each_pair(information, codes, factors)


def entropies(labels: Tensor) -> Tensor:
    return torch.stack([entropy(shares(column)) for column in labels.T])


def mutual_information_gap(codes: Tensor, factors: Tensor) -> float:
    best = informations(codes, factors).topk(2, dim=0).values
    return float(((best[0] - best[1]) / entropies(factors)).mean())


def gap_by_sklearn(codes: Tensor, factors: Tensor) -> float:
    from sklearn.metrics import mutual_info_score

    gaps = []
    for factor in factors.T.numpy():
        found = sorted((mutual_info_score(factor, code) for code in codes.T.numpy()), reverse=True)
        gaps.append((found[0] - found[1]) / mutual_info_score(factor, factor))
    return float(np.mean(gaps))


def gap_by_dictionary(codes: Tensor, factors: Tensor) -> float:
    """Counting in plain Python: I(a; b) = H(a) + H(b) − H(a, b)."""
    from collections import Counter

    def h(labels: list) -> float:
        return -sum(n / len(labels) * math.log(n / len(labels)) for n in Counter(labels).values())

    total = 0.0
    for factor in factors.T.tolist():
        found = [h(code) + h(factor) - h(list(zip(code, factor, strict=True))) for code in codes.T.tolist()]
        first = max(found)
        found.remove(first)
        total += (first - max(found)) / h(factor)
    return total / factors.shape[1]


def gap_by_one_hot(codes: Tensor, factors: Tensor) -> float:
    """In float32 and in bits, with a small number in the logarithms."""
    one_hot = torch.nn.functional.one_hot
    gaps = []
    for f in range(factors.shape[1]):
        target = one_hot(factors[:, f]).float()
        found = []
        for k in range(codes.shape[1]):
            joint = one_hot(codes[:, k]).float().T @ target / len(codes)
            product = torch.outer(joint.sum(1), joint.sum(0))
            found.append((joint * torch.log2((joint + 1e-12) / (product + 1e-12))).sum())
        ordered = torch.stack(found).sort().values
        p = target.mean(0)
        gaps.append((ordered[-1] - ordered[-2]) / -(p * torch.log2(p + 1e-12)).sum())
    return torch.stack(gaps).mean().item()


def gap_by_bincount(codes: Tensor, factors: Tensor) -> float:
    gaps = []
    for factor in factors.numpy().T:
        levels = factor.max() + 1
        p = np.bincount(factor) / len(factor)
        h = -np.sum(p[p > 0] * np.log(p[p > 0]))
        found = np.zeros(codes.shape[1])
        for k, code in enumerate(codes.numpy().T):
            joint = np.bincount(code * levels + factor, minlength=(code.max() + 1) * levels) / len(code)
            joint = joint.reshape(-1, levels)
            product = joint.sum(1, keepdims=True) @ joint.sum(0, keepdims=True)
            filled = joint > 0
            found[k] = (joint[filled] * np.log(joint[filled] / product[filled])).sum()
        second, first = np.sort(found)[-2:]
        gaps.append((first - second) / h)
    return np.mean(gaps)


def gap_by_conditional_entropy(codes: Tensor, factors: Tensor) -> float:
    """I(code; factor) = H(factor) − H(factor | code), value by value of the code."""
    gaps = []
    for factor in factors.T:
        h, found = entropy(shares(factor)), []
        for code in codes.T:
            remaining = h.new_zeros(())
            for value in code.unique():
                chosen = code == value
                remaining += chosen.double().mean() * entropy(shares(factor[chosen]))
            found.append(h - remaining)
        first, second, *_ = sorted(found, reverse=True)
        gaps.append(float((first - second) / h))
    return sum(gaps) / len(gaps)


def gap(change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., float]:
    """A variant made from the informations (K, F), the entropies of the codes (K,) and those of the factors (F,)."""
    return lambda codes, factors: float(change(informations(codes, factors), entropies(codes), entropies(factors)))


def top_two(found: Tensor, dim: int = 0) -> Tensor:
    return found.topk(2, dim).values.diff(dim=dim).neg().squeeze(dim)


def spare(found: Tensor, count: int = 2) -> Tensor:
    """Zeros in a further row or column where there is none to compare with."""
    return torch.nn.functional.pad(found, (0, max(0, count - found.shape[1])))


def naive_information(one: Tensor, other: Tensor) -> Tensor:
    joint = shares(one, other)
    return (joint * (joint / (joint.sum(1, keepdim=True) * joint.sum(0))).log()).sum()


def without_ties(found: Tensor) -> Tensor:
    """The columns without repetitions, filled up with zeros."""
    distinct = [column.mul(1e9).round().unique() / 1e9 for column in found.T]
    return torch.stack([torch.nn.functional.pad(column, (2, len(found) - len(column))) for column in distinct], 1)


def numbered_by(number: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., float]:
    """A variant that gives every pair of labels a number, and takes the entropy of those for the joint one."""

    def measure(code: Tensor, factor: Tensor) -> Tensor:
        return entropy(shares(code)) + entropy(shares(factor)) - entropy(shares(number(code, factor)))

    return lambda codes, factors: float((top_two(each_pair(measure, codes, factors)) / entropies(factors)).mean())


def gap_by_histogram(codes: Tensor, factors: Tensor) -> float:
    def measure(code: Tensor, factor: Tensor) -> Tensor:
        joint = torch.from_numpy(np.histogram2d(code.numpy(), factor.numpy())[0] / len(code))
        return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint)

    return float((top_two(each_pair(measure, codes, factors)) / entropies(factors)).mean())


def winners(found: Tensor) -> Tensor:
    return found.argmax(0)


def correlations(codes: Tensor, factors: Tensor) -> float:
    centred = [table.double() - table.double().mean(0) for table in (codes, factors)]
    unit = [table / table.norm(dim=0).clamp(min=1e-9) for table in centred]
    return float(top_two((unit[0].T @ unit[1]).abs()).mean())


def same_label(codes: Tensor, factors: Tensor) -> float:
    """The share of observations in which code and factor hold the same number."""
    found = (codes[:, :, None] == factors[:, None]).double().mean(0)
    return float((top_two(found) / entropies(factors)).mean())


oracle(
    "mutual-information-gap",
    reference=mutual_information_gap,
    right={
        "sklearn's mutual information": gap_by_sklearn,
        "counting in plain Python": gap_by_dictionary,
        "one-hot products in float32, all in bits": gap_by_one_hot,
        "NumPy's bincount": gap_by_bincount,
        "by conditional entropies": gap_by_conditional_entropy,
        "a NumPy float": lambda codes, factors: np.float32(mutual_information_gap(codes, factors)),
    },
    wrong={
        "not normalised: divide each factor's gap by its entropy": gap(lambda found, hz, hv: top_two(found).mean()),
        "the gap was taken over the factors of each code; take it over the codes of each factor": gap(
            lambda found, hz, hv: (top_two(spare(found), 1) / hv[spare(found).argmax(1).clamp(max=len(hv) - 1)]).mean()
        ),
        "of the shares I/H the gap was taken over the factors of each code; take it over the codes of each factor": gap(
            lambda found, hz, hv: top_two(spare(found / hv), 1).mean()
        ),
        "codes and factors are exchanged: a gap is that of the two best codes for a factor": gap(
            lambda found, hz, hv: (top_two(spare(found), 1) / hz.clamp(min=1e-12)).mean()
        ),
        "the gap was taken over the factors of each code, and not normalised": gap(
            lambda found, hz, hv: top_two(spare(found), 1).mean()
        ),
        "a ratio of means; the MIG is the mean of the ratios": gap(
            lambda found, hz, hv: top_two(found).mean() / hv.mean()
        ),
        "informations in nats were divided by entropies in bits; use one base": gap(
            lambda found, hz, hv: (top_two(found) / hv).mean() * math.log(2)
        ),
        "informations in bits were divided by entropies in nats; use one base": gap(
            lambda found, hz, hv: (top_two(found) / hv).mean() / math.log(2)
        ),
        "divided by the entropy of the best code; divide by that of the factor": gap(
            lambda found, hz, hv: (top_two(found) / hz[winners(found)].clamp(min=1e-12)).mean()
        ),
        "divided by the joint entropy of the best code and the factor; divide by that of the factor": gap(
            lambda found, hz, hv: (top_two(found) / (hz[winners(found)] + hv - found.amax(0))).mean()
        ),
        "divided by the mean of both entropies; divide by that of the factor": gap(
            lambda found, hz, hv: (2 * top_two(found) / (hz[winners(found)] + hv)).mean()
        ),
        "divided by the log of the number of values; a factor's entropy is smaller where its values are uneven": (
            lambda codes, factors: float(
                (
                    top_two(informations(codes, factors))
                    / torch.tensor([math.log(len(column.unique())) for column in factors.T])
                ).mean()
            )
        ),
        "divided by the largest information; divide by the factor's entropy": gap(
            lambda found, hz, hv: (top_two(found) / found.amax(0).clamp(min=1e-12)).mean()
        ),
        "each information was divided by the entropy of its code before the two largest were taken": gap(
            lambda found, hz, hv: top_two(found / hz[:, None].clamp(min=1e-12)).mean()
        ),
        "the second largest was not subtracted": gap(lambda found, hz, hv: (found.amax(0) / hv).mean()),
        "the smallest was subtracted; subtract the second largest": gap(
            lambda found, hz, hv: ((found.amax(0) - found.amin(0)) / hv).mean()
        ),
        "the mean of all codes was subtracted; subtract the second largest": gap(
            lambda found, hz, hv: ((found.amax(0) - found.mean(0)) / hv).mean()
        ),
        "the two smallest informations, or two conditional entropies, were compared; take the two largest": gap(
            lambda found, hz, hv: (top_two(-found) / hv).mean()
        ),
        "the first two codes were compared; sort the informations first": gap(
            lambda found, hz, hv: ((found[0] - found[1]) / hv).mean()
        ),
        "the sign is wrong: the largest minus the second largest": gap(
            lambda found, hz, hv: -(top_two(found) / hv).mean()
        ),
        "the gaps were added up; average over the factors": gap(lambda found, hz, hv: (top_two(found) / hv).sum()),
        "divided by the number of codes; average over the factors": gap(
            lambda found, hz, hv: (top_two(found) / hv).sum() / len(found)
        ),
        "the best factor alone was returned; average over all": gap(lambda found, hz, hv: (top_two(found) / hv).max()),
        "the median was taken; average over the factors": gap(
            lambda found, hz, hv: (top_two(found) / hv).quantile(0.5)
        ),
        "the gaps were squared": gap(lambda found, hz, hv: (top_two(found) / hv).square().mean()),
        "each information was divided by both entropies, as sklearn's normalised one is; take mutual_info_score": gap(
            lambda found, hz, hv: top_two(2 * found / (hz[:, None] + hv)).mean()
        ),
        "correlations were compared; information sees more than lines": correlations,
        "equal labels were counted; a code may number a factor's values as it likes": same_label,
        "0 · log 0 gave NaN; it counts 0": lambda codes, factors: float(
            (top_two(each_pair(naive_information, codes, factors)) / entropies(factors)).mean()
        ),
        "equal informations were counted once; two codes that know the same leave a gap of 0": (
            lambda codes, factors: float(
                (top_two(without_ties(informations(codes, factors))) / entropies(factors)).mean()
            )
        ),
        "np.histogram2d sorted the labels into 10 bins; each label is a value of its own": gap_by_histogram,
        "different pairs got the same number: multiply the code by factor.max() + 1, not by factor.max()": (
            numbered_by(lambda code, factor: code * factor.max() + factor)
        ),
        "different pairs got the same number: multiply the code by how many values the factor has, not the code": (
            numbered_by(lambda code, factor: code * (code.max() + 1) + factor)
        ),
        "joint or conditional entropies were compared; information is H(code) + H(factor) − H(code, factor)": gap(
            lambda found, hz, hv: (top_two(hz[:, None] + hv - found) / hv).mean()
        ),
        "the codes were cut off at the factors' number of values; they have values of their own": (
            lambda codes, factors: mutual_information_gap(codes.clamp(max=len(factors.unique()) - 2), factors)
        ),
        "the codes were reshaped to (K, N) where they had to be transposed, which mixes the latents": (
            lambda codes, factors: mutual_information_gap(codes.reshape(codes.shape[::-1]).T, factors)
        ),
        "the factors were reshaped to (F, N) where they had to be transposed, which mixes the factors": (
            lambda codes, factors: mutual_information_gap(codes, factors.reshape(factors.shape[::-1]).T)
        ),
        "returned a Tensor; its signature promises a float": lambda codes, factors: torch.tensor(
            mutual_information_gap(codes, factors)
        ),
    },
)


Encode = Callable[[Tensor], Tensor]


def fixed(factor: int, v1: Tensor, v2: Tensor) -> Tensor:
    """The second half with the first half's values of one factor."""
    v2 = v2.clone()
    v2[:, factor] = v1[:, factor]
    return v2


def metric_feature(encode: Encode, factor: int, v1: Tensor, v2: Tensor) -> Tensor:
    return (encode(v1) - encode(fixed(factor, v1, v2))).abs().mean(0)


def feature_in_one_call(encode: Encode, factor: int, v1: Tensor, v2: Tensor) -> Tensor:
    both = torch.stack([v1, v2])
    both[1, :, factor] = both[0, :, factor]
    first, second = encode(both.reshape(-1, v1.shape[1])).chunk(2)
    return torch.nn.functional.l1_loss(first, second, reduction="none").mean(dim=0)


def feature_pair_by_pair(encode: Encode, factor: int, v1: Tensor, v2: Tensor) -> Tensor:
    total = 0
    for one, other in zip(v1, v2, strict=True):
        other = other.clone()
        other[factor] = one[factor]
        total = total + (encode(one[None]) - encode(other[None]))[0].abs()
    return total / len(v1)


def feature_by_where(encode: Encode, factor: int, v1: Tensor, v2: Tensor) -> Tensor:
    shared = torch.arange(v1.shape[1]) == factor
    with torch.no_grad():
        z1, z2 = encode(v1), encode(torch.where(shared, v1, v2))
    return torch.maximum(z1 - z2, z2 - z1).sum(0) / z1.shape[0]


def feature_by_numpy(encode: Encode, factor: int, v1: Tensor, v2: Tensor) -> Tensor:
    other = v2.numpy().copy()
    other[:, factor] = v1.numpy()[:, factor]
    z1, z2 = encode(v1).numpy(), encode(torch.from_numpy(other)).numpy()
    return torch.from_numpy(np.mean(np.abs(z1 - z2), axis=0))


def feature(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A variant made from the codes of two halves that agree as they should."""
    return lambda encode, factor, v1, v2: change(encode(v1), encode(fixed(factor, v1, v2)))


def agreeing(change: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Callable[..., Tensor]:
    """A variant whose two halves are made otherwise."""

    def found(encode: Encode, factor: int, v1: Tensor, v2: Tensor) -> Tensor:
        first, second = change(factor, v1, v2)
        return (encode(first) - encode(second)).abs().mean(0)

    return found


def filled(values: Tensor, factor: int, level: Tensor | int) -> Tensor:
    values = values.clone()
    values[:, factor] = level
    return values


def other_way(factor: int, v1: Tensor, v2: Tensor) -> tuple[Tensor, Tensor]:
    return fixed(factor, v2, v1), v2


def row_fixed(factor: int, v1: Tensor, v2: Tensor) -> tuple[Tensor, Tensor]:
    v2 = v2.clone()
    v2[factor % len(v2)] = v1[factor % len(v2)]
    return v1, v2


def feature_in_place(encode: Encode, factor: int, v1: Tensor, v2: Tensor) -> Tensor:
    v2[:, factor] = v1[:, factor]
    return (encode(v1) - encode(v2)).abs().mean(0)


def standardised(one: Tensor, other: Tensor) -> Tensor:
    spread = torch.cat([one, other]).std(0, unbiased=False)
    return (one - other).abs().mean(0) / spread.clamp(min=1e-9)


oracle(
    "beta-vae-metric",
    reference=metric_feature,
    right={
        "both halves in one call": feature_in_one_call,
        "pair by pair": feature_pair_by_pair,
        "where, without gradients": feature_by_where,
        "NumPy": feature_by_numpy,
        "the second half lends its value": agreeing(other_way),
        "einsum": feature(lambda one, other: torch.einsum("lk->k", (one - other).abs()) / len(one)),
    },
    wrong={
        "nothing is fixed: both halves need the same value of `factor`": agreeing(lambda factor, v1, v2: (v1, v2)),
        "only `factor` varies; it is what both halves have in common, and all others vary": agreeing(
            lambda factor, v1, v2: (v1, filled(v1, factor, v2[:, factor]))
        ),
        "changed its argument `v2` in place": feature_in_place,
        "no absolute value was taken, so that differences cancel": feature(lambda one, other: (one - other).mean(0)),
        "the absolute value was taken after the mean; take it of each difference": feature(
            lambda one, other: (one - other).mean(0).abs()
        ),
        "the differences were squared; take their absolute values": feature(
            lambda one, other: (one - other).square().mean(0)
        ),
        "the root of the mean square was taken; take the mean of the absolute values": feature(
            lambda one, other: (one - other).square().mean(0).sqrt()
        ),
        "the median over the pairs was taken; take the mean": feature(
            lambda one, other: (one - other).abs().median(0).values
        ),
        "the largest difference was taken; take the mean over the pairs": feature(
            lambda one, other: (one - other).abs().amax(0)
        ),
        "summed over the pairs; average over them": feature(lambda one, other: (one - other).abs().sum(0)),
        "divided by the number of latents; average over the pairs": feature(
            lambda one, other: (one - other).abs().sum(0) / one.shape[1]
        ),
        "divided by the number of pairs less one": feature(
            lambda one, other: (one - other).abs().sum(0) / max(len(one) - 1, 1)
        ),
        "averaged over the latents, axis 1; average over the pairs, axis 0": feature(
            lambda one, other: (one - other).abs().mean(1)
        ),
        "averaged over pairs and latents; one number for each latent is wanted": feature(
            lambda one, other: (one - other).abs().mean()
        ),
        "left one row for each pair; average them": feature(lambda one, other: (one - other).abs()),
        "only the first pair was used": feature(lambda one, other: (one - other).abs()[0]),
        "a softmax was taken of the means": feature(lambda one, other: (one - other).abs().mean(0).softmax(0)),
        "normalised to sum 1; the means are wanted as they are": feature(
            lambda one, other: torch.nn.functional.normalize((one - other).abs().mean(0), p=1, dim=0)
        ),
        "divided by the codes' spread; that is FactorVAE's metric": feature(standardised),
        "the variance of the differences was taken; take the mean of their absolute values": feature(
            lambda one, other: (one - other).var(0, unbiased=False)
        ),
        "the latent that differs least was marked; the means themselves are wanted": feature(
            lambda one, other: torch.nn.functional.one_hot((one - other).abs().mean(0).argmin(), one.shape[1]).float()
        ),
        "the absolute values of the codes were compared": feature(
            lambda one, other: (one.abs() - other.abs()).abs().mean(0)
        ),
        "the codes were added; subtract them": feature(lambda one, other: (one + other).abs().mean(0)),
        "every code was compared with those of all pairs; compare it with its partner": feature(
            lambda one, other: (one[:, None] - other).abs().mean((0, 1))
        ),
        "the distances to the mean code were taken; compare the two halves of each pair": feature(
            lambda one, other: (one - one.mean(0)).abs().mean(0)
        ),
        "the factor after `factor` was fixed; indices count from 0": agreeing(
            lambda factor, v1, v2: (v1, fixed((factor + 1) % v1.shape[1], v1, v2))
        ),
        "the factor before `factor` was fixed; indices count from 0": agreeing(
            lambda factor, v1, v2: (v1, fixed(factor - 1, v1, v2))
        ),
        "a pair was made equal, a row; `factor` is a column": agreeing(row_fixed),
        "the values of `factor` were exchanged; both halves need the same": agreeing(
            lambda factor, v1, v2: (fixed(factor, v2, v1), fixed(factor, v1, v2))
        ),
        "`factor` was set to 0 in all pairs; each pair has a value of its own": agreeing(
            lambda factor, v1, v2: (filled(v1, factor, 0), filled(v2, factor, 0))
        ),
        "`factor` has the first pair's value in all pairs; each pair has a value of its own": agreeing(
            lambda factor, v1, v2: (filled(v1, factor, v1[0, factor]), filled(v2, factor, v1[0, factor]))
        ),
        "the second half got the first pair's value in all pairs": agreeing(
            lambda factor, v1, v2: (v1, filled(v2, factor, v1[0, factor]))
        ),
        "all factors up to `factor` were fixed; fix one": agreeing(
            lambda factor, v1, v2: (v1, torch.cat([v1[:, : factor + 1], v2[:, factor + 1 :]], 1))
        ),
        "all factors were fixed; fix one": agreeing(lambda factor, v1, v2: (v1, v1)),
        "the factors were compared; compare their codes": lambda encode, factor, v1, v2: (
            (v1 - fixed(factor, v1, v2)).abs().float().mean(0)
        ),
        "encode takes factors that are integers": agreeing(lambda factor, v1, v2: (v1.float(), v2.float())),
        "encode takes factors of shape (L, ": lambda encode, factor, v1, v2: torch.stack(
            [(encode(one) - encode(other)).abs() for one, other in zip(v1, v2, strict=True)]
        ).mean(0),
        "draws random numbers of its own": lambda encode, factor, v1, v2: metric_feature(
            encode, factor, v1, v2[torch.randperm(len(v2))]
        ),
        "returned a list; its signature promises a tensor": lambda *arguments: metric_feature(*arguments).tolist(),
    },
)


Components = tuple[Tensor, Tensor, Tensor]


def pca(x: Tensor, k: int) -> Components:
    centred = x - x.mean(0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:k].mT, directions[:k], singular[:k] ** 2 / (len(x) - 1)


def by_double(x: Tensor, k: int) -> Components:
    """In float64, rounded at the end."""
    return tuple(part.to(x.dtype) for part in pca(x.double(), k))


def by_eigh(x: Tensor, k: int) -> Components:
    values, vectors = torch.linalg.eigh(torch.cov(x.T))
    largest = vectors[:, -k:].flip(1)
    return (x - x.mean(dim=0, keepdim=True)) @ largest, largest.T, values.flip(0)[:k]


def by_gram(x: Tensor, k: int) -> Components:
    """From the inner products of the points: quick where there are few of them."""
    centred = (x - x.mean(0)).double()
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    values, vectors = values.flip(0)[:k], vectors.flip(1)[:, :k]
    scores = vectors * values.sqrt()
    return scores.to(x), (centred.T @ vectors / values.sqrt()).T.to(x), (values / (len(x) - 1)).to(x)


def by_old_svd(x: Tensor, k: int) -> Components:
    """Scores from the left singular vectors."""
    u, s, v = torch.svd(x - x.mean(0))
    return u[:, :k] * s[:k], v[:, :k].T, s[:k].square() / (x.shape[0] - 1)


def by_pca_lowrank(x: Tensor, k: int) -> Components:
    centred = x - x.mean(0)
    _, s, v = torch.pca_lowrank(centred, q=min(x.shape), center=False)
    return centred @ v[:, :k], v[:, :k].T, (s**2 / (len(x) - 1))[:k]


def by_sklearn(x: Tensor, k: int) -> Components:
    from sklearn.decomposition import PCA

    found = PCA(n_components=k)
    scores = found.fit_transform(x.numpy())
    return tuple(torch.from_numpy(np.array(part)) for part in (scores, found.components_, found.explained_variance_))


def by_numpy(x: Tensor, k: int) -> Components:
    data = x.numpy() - x.numpy().mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(data, rowvar=False).reshape(data.shape[1], -1))
    order = np.argsort(values)[::-1][:k]
    directions = np.ascontiguousarray(vectors[:, order].T)
    parts = data @ directions.T, directions, values[order]
    return tuple(torch.as_tensor(part.astype(np.float64)) for part in parts)


def by_deflation(x: Tensor, k: int) -> Components:
    """Power iteration, one direction after the other."""
    centred = (x - x.mean(0)).double()
    covariance, directions, variances = centred.T @ centred / (len(x) - 1), [], []
    for _ in range(k):
        direction = covariance[covariance.diagonal().argmax()]
        for _ in range(150):
            direction = torch.nn.functional.normalize(covariance @ direction, dim=0)
        variances.append(direction @ covariance @ direction)
        covariance = covariance - variances[-1] * torch.outer(direction, direction)
        directions.append(direction)
    return (centred @ torch.stack(directions).T).to(x), torch.stack(directions).to(x), torch.stack(variances).to(x)


def by_signs(x: Tensor, k: int) -> Components:
    """The largest coordinate of every direction is positive."""
    scores, directions, variances = pca(x, k)
    signs = directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    return scores * signs.T, directions * signs, variances


def after(change: Callable[[Tensor, Tensor, Tensor, Tensor], Sequence]) -> Callable[..., Sequence]:
    """A variant that finds the components and then returns something else, made of x and the three parts."""
    return lambda x, k: change(x, *by_double(x, k))


def prepared(change: Callable[[Tensor], Tensor]) -> Callable[..., Components]:
    """A variant that changes the points otherwise than by their mean before it decomposes them."""

    def found(x: Tensor, k: int) -> Components:
        changed = change(x)
        _, singular, directions = torch.linalg.svd(changed, full_matrices=False)
        return changed @ directions[:k].mT, directions[:k], singular[:k] ** 2 / (len(x) - 1)

    return found


def ordered(change: Callable[[Tensor, int], Tensor]) -> Callable[..., Components]:
    """A variant that takes other components: their places among min(N, D) in falling order."""

    def found(x: Tensor, k: int) -> Components:
        rank = min(len(x) - 1, x.shape[1])
        scores, directions, variances = by_double(x, rank)
        places = change(torch.arange(rank), k)
        return scores[:, places], directions[places], variances[places]

    return found


def by_moments(x: Tensor, k: int) -> Components:
    """The covariance as mean of products less product of means, which loses its digits far from 0."""
    mean = x.mean(0)
    covariance = (x.T @ x / len(x) - torch.outer(mean, mean)) * len(x) / (len(x) - 1)
    values, vectors = torch.linalg.eigh(covariance)
    largest = vectors[:, -k:].flip(1)
    return (x - mean) @ largest, largest.T, values.flip(0)[:k]


def rough_guess(x: Tensor, k: int) -> Components:
    """A randomised decomposition that looks at no more than k directions."""
    _, singular, directions = torch.pca_lowrank(x, q=k)
    return (x - x.mean(0)) @ directions, directions.T, singular**2 / (len(x) - 1)


def rows_of_vectors(x: Tensor, k: int) -> Components:
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / (len(x) - 1))
    rows = vectors.flip(1)[:k]
    return centred @ rows.T, rows, values.flip(0)[:k]


def in_place(x: Tensor, k: int) -> Components:
    x -= x.mean(0)
    return pca(x, k)


def of_samples(x: Tensor, k: int) -> Components:
    """Samples taken for columns."""
    scores, directions, variances = by_double(x.T, min(k, *x.shape))
    return scores, directions, variances


def samples_as_columns(x: Tensor, k: int) -> Components:
    """Directions found in x transposed, without its rows' means, and then fitted to the promised shapes."""
    centred = x - x.mean(1, keepdim=True)
    u, s, v = torch.linalg.svd(centred.double(), full_matrices=False)
    return (u[:, :k] * s[:k]).to(x), v[:k].to(x), (s[:k] ** 2 / (x.shape[1] - 1)).to(x)


def signs_apart(x: Tensor, scores: Tensor, directions: Tensor, variances: Tensor) -> Components:
    return scores, -directions, variances


oracle(
    "pca",
    reference=by_double,
    right={
        "singular value decomposition": pca,
        "eigenvalues of the covariance": by_eigh,
        "eigenvalues of the inner products": by_gram,
        "the old svd, scores from its left vectors": by_old_svd,
        "pca_lowrank of full rank": by_pca_lowrank,
        "sklearn's PCA": by_sklearn,
        "NumPy, in float64": by_numpy,
        "power iteration": by_deflation,
        "signs by the largest coordinate": by_signs,
        "all signs turned, in a list": after(
            lambda x, scores, directions, variances: [-scores, -directions, variances]
        ),
    },
    wrong={
        "x was not centred; subtract the mean of every coordinate first": prepared(lambda x: x),
        "the scores are those of x before it was centred": after(
            lambda x, scores, directions, variances: (x @ directions.T, directions, variances)
        ),
        "the directions are those of x before it was centred": lambda x, k: (
            (x - x.mean(0)) @ prepared(lambda x: x)(x, k)[1].T,
            prepared(lambda x: x)(x, k)[1],
            ((x - x.mean(0)) @ prepared(lambda x: x)(x, k)[1].T).var(0),
        ),
        "one mean was subtracted from all coordinates; each has its own": prepared(lambda x: x - x.mean()),
        "the mean of every point was subtracted; subtract that of every coordinate, over axis 0": prepared(
            lambda x: x - x.mean(1, keepdim=True)
        ),
        "the medians were subtracted; subtract the means": prepared(lambda x: x - x.median(0).values),
        "the coordinates were standardised; PCA keeps their scales": prepared(
            lambda x: (x - x.mean(0)) / x.std(0).clamp(min=1e-9)
        ),
        "the least components were taken; eigh sorts from the smallest up": ordered(
            lambda places, k: places[-k:].flip(0)
        ),
        "the least components were taken; PCA takes the largest": ordered(lambda places, k: places[-k:]),
        "the components rise; the largest variance comes first": ordered(lambda places, k: places[:k].flip(0)),
        "the first component was left out": ordered(lambda places, k: (places.roll(-1))[:k]),
        "the variances rise, while scores and directions fall": after(
            lambda x, scores, directions, variances: (scores, directions, variances.flip(0))
        ),
        "the singular values were not squared: a variance is s²/(N − 1)": after(
            lambda x, scores, directions, variances: (
                scores,
                directions,
                (variances * (len(x) - 1)).sqrt() / (len(x) - 1),
            )
        ),
        "these are singular values; a variance is s²/(N − 1)": after(
            lambda x, scores, directions, variances: (scores, directions, (variances * (len(x) - 1)).sqrt())
        ),
        "the squared singular values were not divided by N − 1": after(
            lambda x, scores, directions, variances: (scores, directions, variances * (len(x) - 1))
        ),
        "divided by N; the variances here have divisor N − 1": after(
            lambda x, scores, directions, variances: (scores, directions, variances * (len(x) - 1) / len(x))
        ),
        "divided by the number of coordinates; a variance is s²/(N − 1)": after(
            lambda x, scores, directions, variances: (scores, directions, variances * (len(x) - 1) / x.shape[1])
        ),
        "these are standard deviations; square them": after(
            lambda x, scores, directions, variances: (scores, directions, variances.sqrt())
        ),
        "these are shares of the total variance; the variances themselves are wanted": after(
            lambda x, scores, directions, variances: (scores, directions, variances / x.var(0).sum())
        ),
        "these are shares of the variance of k components; the variances themselves are wanted": after(
            lambda x, scores, directions, variances: (scores, directions, variances / variances.sum())
        ),
        "the variances add up from the first component on; one for each is wanted": after(
            lambda x, scores, directions, variances: (scores, directions, variances.cumsum(0))
        ),
        "the scores were whitened; they keep the variances": after(
            lambda x, scores, directions, variances: (scores / variances.sqrt(), directions, variances)
        ),
        "the scores are the left singular vectors; multiply them by the singular values": after(
            lambda x, scores, directions, variances: (scores / (variances * (len(x) - 1)).sqrt(), directions, variances)
        ),
        "the directions were scaled by their standard deviations; they have length 1": after(
            lambda x, scores, directions, variances: (scores, directions * variances.sqrt()[:, None], variances)
        ),
        "the rows of a matrix were taken whose columns are the eigenvectors": rows_of_vectors,
        "the signs of scores and directions do not belong together": after(signs_apart),
        "the absolute values of the directions were taken": after(
            lambda x, scores, directions, variances: ((x - x.mean(0)) @ directions.abs().T, directions.abs(), variances)
        ),
        "the first k coordinates of the centred points are no principal components": lambda x, k: (
            (x - x.mean(0))[:, :k],
            torch.eye(x.shape[1], dtype=x.dtype)[:k],
            x.var(0)[:k],
        ),
        "the means of all scores were added back; scores are those of centred points": after(
            lambda x, scores, directions, variances: (scores + x.mean(), directions, variances)
        ),
        "pca_lowrank with q = k is a rough guess; q as large as min(N, D) makes it exact": rough_guess,
        "the covariance as a mean of products loses its digits far from 0; centre first": by_moments,
        "directions has shape": after(lambda x, scores, directions, variances: (scores, directions.T, variances)),
        "it is transposed": after(lambda x, scores, directions, variances: (scores.T, directions, variances)),
        "variances has shape": after(lambda x, scores, directions, variances: (scores, directions, variances.diag())),
        "that is (N, k)": lambda x, k: pca(x, min(x.shape)),
        "scores has shape": after(
            lambda x, scores, directions, variances: (scores @ directions + x.mean(0), directions, variances)
        ),
        "axis 0 of x is that of the points": of_samples,
        "the samples were taken for columns: axis 0 counts the points": samples_as_columns,
        "changed its argument `x` in place": in_place,
        "returned a Tensor of shape": lambda x, k: pca(x, k)[0],
        "returned 2 values": lambda x, k: pca(x, k)[:2],
        "as scores; make it a tensor": lambda x, k: tuple(part.numpy() for part in pca(x, k)),
    },
    exact=False,
)


def share_of(importance: Tensor, dim: int) -> Tensor:
    return importance / importance.sum(dim, keepdim=True).clamp(min=1e-300)


def sharpness(importance: Tensor, dim: int, base: int | None = None) -> Tensor:
    """1 − entropy of the shares along an axis, to the base of its length unless another is told."""
    p = share_of(importance.double(), dim)
    return 1 + torch.xlogy(p, p).sum(dim) / math.log(base or importance.shape[dim])


def row_weights(importance: Tensor) -> Tensor:
    return importance.double().sum(1) / importance.double().sum()


def dci(importance: Tensor) -> tuple[float, float]:
    disentanglement = (row_weights(importance) * sharpness(importance, 1)).sum()
    return float(disentanglement), float(sharpness(importance, 0).mean())


def dci_weighted(importance: Tensor) -> tuple[float, float]:
    """Both averages with weights, entropies by scipy, as the first public code does it."""
    from scipy.stats import entropy

    table = importance.numpy().astype(np.float64) + 1e-11
    codes = 1 - entropy(table.T, base=table.shape[1])
    factors = 1 - entropy(table, base=table.shape[0])
    total = table.sum()
    return float((codes * table.sum(1) / total).sum()), float((factors * table.sum(0) / total).sum())


def dci_by_loops(importance: Tensor) -> tuple[float, float]:
    codes, factors = importance.shape
    total, disentanglement, completeness = float(importance.sum()), 0.0, 0.0
    for k in range(codes):
        row = importance[k].tolist()
        if sum(row) > 0:
            h = -sum(r / sum(row) * math.log(r / sum(row), factors) for r in row if r > 0)
            disentanglement += sum(row) / total * (1 - h)
    for f in range(factors):
        column = importance[:, f].tolist()
        h = -sum(r / sum(column) * math.log(r / sum(column), codes) for r in column if r > 0)
        completeness += (1 - h) / factors
    return disentanglement, completeness


def dci_by_distributions(importance: Tensor) -> tuple[Tensor, Tensor]:
    """Tensors without axes, in the importances' own dtype; rows of zeros are left out."""
    used = importance[importance.sum(1) > 0]
    rows, columns = td.Categorical(probs=used), td.Categorical(probs=importance.T)
    d = 1 - rows.entropy() / math.log(importance.shape[1])
    c = 1 - columns.entropy() / math.log(importance.shape[0])
    return d @ used.sum(1) / used.sum(), c.mean()


def scores(
    disentanglement: Callable[[Tensor], Tensor] | None = None, completeness: Callable[[Tensor], Tensor] | None = None
) -> Callable[..., tuple[float, float]]:
    """A variant with another disentanglement or completeness."""

    def found(importance: Tensor) -> tuple[float, float]:
        right = dci(importance)
        d = float(disentanglement(importance)) if disentanglement else right[0]
        c = float(completeness(importance)) if completeness else right[1]
        return d, c

    return found


def sharpness_in(importance: Tensor, dim: int, unit: float) -> Tensor:
    """1 − entropy of the shares along an axis, in units of so many nats."""
    p = share_of(importance.double(), dim)
    return 1 + torch.xlogy(p, p).sum(dim) / unit


def naive_sharpness(importance: Tensor, dim: int) -> Tensor:
    p = importance.double() / importance.double().sum(dim, keepdim=True)
    return 1 + (p * p.log()).sum(dim) / math.log(importance.shape[dim])


def weighted_sharpness(importance: Tensor, base: int) -> Tensor:
    return (row_weights(importance) * sharpness(importance, 1, base)).sum()


def largest_share(importance: Tensor, dim: int) -> Tensor:
    return share_of(importance.double(), dim).amax(dim)


oracle(
    "dci",
    reference=dci,
    right={
        "both averages weighted, a small number added, scipy": dci_weighted,
        "loops": dci_by_loops,
        "distributions, in float32, as tensors": dci_by_distributions,
        "a list of NumPy numbers": lambda importance: [np.float64(part) for part in dci(importance)],
    },
    wrong={
        "the bases are exchanged: rows take the log to base F, columns to base K": scores(
            lambda importance: weighted_sharpness(importance, importance.shape[0]),
            lambda importance: sharpness(importance, 0, importance.shape[1]).mean(),
        ),
        "both entropies have base F; completeness takes base K": scores(
            completeness=lambda importance: sharpness(importance, 0, importance.shape[1]).mean()
        ),
        "both entropies have base K; disentanglement takes base F": scores(
            lambda importance: weighted_sharpness(importance, importance.shape[0])
        ),
        "the disentanglement is unweighted; a code counts by its share of all importance": scores(
            lambda importance: sharpness(importance, 1).mean()
        ),
        "the weights are sums of importance; divide them by the sum of all": scores(
            lambda importance: (importance.sum(1) * sharpness(importance, 1)).sum()
        ),
        "the weighted terms were averaged over the codes; add them up": scores(
            lambda importance: (row_weights(importance) * sharpness(importance, 1)).mean()
        ),
        "the entropies are in nats; divide by log F and log K": scores(
            lambda importance: (row_weights(importance) * sharpness_in(importance, 1, 1.0)).sum(),
            lambda importance: sharpness_in(importance, 0, 1.0).mean(),
        ),
        "the entropies are in bits; divide by log₂ F and log₂ K": scores(
            lambda importance: (row_weights(importance) * sharpness_in(importance, 1, math.log(2))).sum(),
            lambda importance: sharpness_in(importance, 0, math.log(2)).mean(),
        ),
        "these are entropies; disentanglement and completeness are 1 minus them": lambda importance: tuple(
            1 - part for part in dci(importance)
        ),
        "disentanglement and completeness are exchanged": lambda importance: dci(importance)[::-1],
        "rows and columns are exchanged: a code is a row": lambda importance: dci(importance.T),
        "rows were normalised for both; completeness normalises every column": scores(
            completeness=lambda importance: (
                1 + torch.xlogy(share_of(importance, 1), share_of(importance, 1)).sum(0) / math.log(len(importance))
            ).mean()
        ),
        "columns were normalised for both; disentanglement normalises every row": scores(
            lambda importance: (
                row_weights(importance)
                * (1 + torch.xlogy(*[share_of(importance, 0)] * 2).sum(1) / math.log(importance.shape[1]))
            ).sum()
        ),
        "the entropies have the wrong sign: 1 + Σ p log p is at most 1": lambda importance: tuple(
            2 - part for part in dci(importance)
        ),
        "the whole table was normalised; every row has a sum of its own": scores(
            lambda importance: (
                1 + torch.xlogy(*[importance / importance.sum()] * 2).sum(1) / math.log(importance.shape[1])
            ).mean()
        ),
        "a softmax was taken of the importances; divide each by its row's or column's sum": scores(
            lambda importance: (row_weights(importance) * sharpness(importance.softmax(1), 1)).sum(),
            lambda importance: sharpness(importance.softmax(0), 0).mean(),
        ),
        "the importances were squared": lambda importance: dci(importance.square()),
        "the largest shares were taken; take 1 minus the entropies": scores(
            lambda importance: (row_weights(importance) * largest_share(importance, 1)).sum(),
            lambda importance: largest_share(importance, 0).mean(),
        ),
        "the gap of the two largest shares was taken; take 1 minus the entropies": scores(
            lambda importance: (row_weights(importance) * top_two(share_of(importance.double(), 1), 1)).sum(),
            lambda importance: top_two(share_of(importance.double(), 0), 0).mean(),
        ),
        "a logarithm of 0 was taken; a share of 0 adds nothing to an entropy": lambda importance: (
            float((row_weights(importance) * naive_sharpness(importance, 1)).sum()),
            float(naive_sharpness(importance, 0).mean()),
        ),
        "a code of no importance divides by 0; its weight is 0": scores(
            lambda importance: (
                row_weights(importance)
                * sharpness(torch.where(importance.sum(1, keepdim=True) > 0, importance, math.nan), 1)
            ).sum()
        ),
        "the completeness was weighted by the sharpness of its factors": scores(
            completeness=lambda importance: sharpness(importance, 0).square().sum() / sharpness(importance, 0).sum()
        ),
        "the completeness was summed over the factors; average over them": scores(
            completeness=lambda importance: sharpness(importance, 0).sum()
        ),
        "the completeness was divided by the number of codes; average over the factors": scores(
            completeness=lambda importance: sharpness(importance, 0).sum() / len(importance)
        ),
        "both are disentanglement": lambda importance: (dci(importance)[0],) * 2,
        "returned a Tensor of shape (2,)": lambda importance: torch.tensor(dci(importance)),
        "as disentanglement; one number is wanted": lambda importance: (
            sharpness(importance, 1),
            sharpness(importance, 0),
        ),
        "returned 3 values": lambda importance: (*dci(importance), 1.0),
        "changed its argument `importance` in place": lambda importance: dci(importance.mul_(2)),
    },
)


def capacity_loss(nll: Tensor, kl: Tensor, capacity: float, gamma: float) -> Tensor:
    return nll.mean() + gamma * (kl.mean() - capacity).abs()


def capacity_by_sign(nll: Tensor, kl: Tensor, capacity: float, gamma: float) -> Tensor:
    excess = kl.sum() / len(kl) - capacity
    return nll.sum() / len(nll) + (gamma * excess if excess > 0 else -gamma * excess)


def priced(change: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """A variant in which γ multiplies something else made of the KL divergences and the capacity."""
    return lambda nll, kl, capacity, gamma: nll.mean() + gamma * change(kl, capacity)


oracle(
    "capacity-loss",
    reference=capacity_loss,
    right={
        "by the sign of the excess": capacity_by_sign,
        "the larger of two": lambda nll, kl, capacity, gamma: (
            torch.mean(nll) + gamma * torch.maximum(kl.mean() - capacity, capacity - kl.mean())
        ),
        "an L1 loss": lambda nll, kl, capacity, gamma: (
            nll.mean() + gamma * torch.nn.functional.l1_loss(kl.mean(), torch.tensor(capacity, dtype=kl.dtype))
        ),
        "two ReLUs": priced(lambda kl, capacity: (kl.mean() - capacity).relu() + (capacity - kl.mean()).relu()),
        "observation by observation": lambda nll, kl, capacity, gamma: (
            sum(nll) / len(nll) + gamma * abs(sum(kl) / len(kl) - capacity)
        ),
    },
    wrong={
        "no absolute value of KL − C alone: a KL below the capacity must cost, too": priced(
            lambda kl, capacity: kl.mean() - capacity
        ),
        "C − KL without its absolute value: a KL above the capacity must cost, too": priced(
            lambda kl, capacity: capacity - kl.mean()
        ),
        "the difference was squared; take its absolute value": priced(
            lambda kl, capacity: (kl.mean() - capacity).square()
        ),
        "each observation's difference was squared; average the KL first, and take the absolute value": priced(
            lambda kl, capacity: (kl - capacity).square().mean()
        ),
        "the absolute value was taken of each observation's difference; average the KL first": priced(
            lambda kl, capacity: (kl - capacity).abs().mean()
        ),
        "a KL below the capacity costs nothing here; it must": priced(
            lambda kl, capacity: (kl.mean() - capacity).relu()
        ),
        "a KL above the capacity costs nothing here; it must": priced(
            lambda kl, capacity: (capacity - kl.mean()).relu()
        ),
        "the capacity was added; the KL is drawn towards it": priced(lambda kl, capacity: (kl.mean() + capacity).abs()),
        "the capacity is missing": priced(lambda kl, capacity: kl.mean()),
        "the capacity was subtracted outside of γ": lambda nll, kl, capacity, gamma: (
            nll.mean() + gamma * kl.mean() - capacity
        ),
        "γ multiplies the KL alone; it multiplies its distance to the capacity": (
            lambda nll, kl, capacity, gamma: nll.mean() + (gamma * kl.mean() - capacity).abs()
        ),
        "capacity and γ are exchanged": lambda nll, kl, capacity, gamma: capacity_loss(nll, kl, gamma, capacity),
        "nll and kl are exchanged": lambda nll, kl, capacity, gamma: capacity_loss(kl, nll, capacity, gamma),
        "γ is on the reconstruction; it weighs the distance to the capacity": lambda nll, kl, capacity, gamma: (
            gamma * nll.mean() + (kl.mean() - capacity).abs()
        ),
        "γ weighs both terms; the reconstruction has weight 1": lambda nll, kl, capacity, gamma: (
            gamma * capacity_loss(nll, kl, capacity, 1.0)
        ),
        "γ is missing": lambda nll, kl, capacity, gamma: capacity_loss(nll, kl, capacity, 1.0),
        "γ was halved": lambda nll, kl, capacity, gamma: capacity_loss(nll, kl, capacity, gamma / 2),
        "the distance was subtracted; it is a price": lambda nll, kl, capacity, gamma: capacity_loss(
            nll, kl, capacity, -gamma
        ),
        "the sign is wrong: this is to be maximised": lambda nll, kl, capacity, gamma: (
            -capacity_loss(nll, kl, capacity, gamma)
        ),
        "the nll is missing": lambda nll, kl, capacity, gamma: gamma * (kl.mean() - capacity).abs(),
        "the nll was subtracted; it is a loss already": lambda nll, kl, capacity, gamma: capacity_loss(
            -nll, kl, capacity, gamma
        ),
        "the KL divergence was summed over the batch; average it": lambda nll, kl, capacity, gamma: (
            nll.mean() + gamma * (kl.sum() - capacity).abs()
        ),
        "the nll was summed over the batch; average it": lambda nll, kl, capacity, gamma: (
            nll.sum() + gamma * (kl.mean() - capacity).abs()
        ),
        "summed over the batch; average over it": lambda nll, kl, capacity, gamma: (
            nll.sum() + gamma * (kl.sum() - capacity).abs()
        ),
        "the distance was divided by the capacity": priced(
            lambda kl, capacity: (kl.mean() - capacity).abs() / max(capacity, 1e-6)
        ),
        "the KL divergence was counted once more without its capacity": lambda nll, kl, capacity, gamma: (
            nll.mean() + kl.mean() + gamma * (kl.mean() - capacity).abs()
        ),
        "the median was taken; average the KL divergence": priced(lambda kl, capacity: (kl.median() - capacity).abs()),
        "left one value for each observation; average them": lambda nll, kl, capacity, gamma: (
            nll + gamma * (kl - capacity).abs()
        ),
        "left one value for each observation's nll; average them": lambda nll, kl, capacity, gamma: (
            nll + gamma * (kl.mean() - capacity).abs()
        ),
        "no gradient reaches kl": lambda nll, kl, capacity, gamma: capacity_loss(nll, kl.detach(), capacity, gamma),
        "no gradient reaches nll": lambda nll, kl, capacity, gamma: capacity_loss(nll.detach(), kl, capacity, gamma),
        "no gradient reaches nll and kl: the loss was detached": lambda nll, kl, capacity, gamma: capacity_loss(
            nll, kl, capacity, gamma
        ).detach(),
        "returned a float; its signature promises a tensor": lambda nll, kl, capacity, gamma: float(
            capacity_loss(nll, kl, capacity, gamma)
        ),
    },
)
