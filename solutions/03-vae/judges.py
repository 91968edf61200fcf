"""Who decides in lab 03: oracles, right answers in other styles, and wrong ones under the sentence that names them."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.nn import functional as F

from lvmlib.grading.judges import oracle

LOG_SIGMA = "log_var was read as log σ; here log_var = log σ²"


def gaussian(mean: Tensor, log_var: Tensor) -> td.Independent:
    return td.Independent(td.Normal(mean, (log_var / 2).exp()), 1)


def standard_like(mean: Tensor) -> td.Independent:
    return gaussian(torch.zeros_like(mean), torch.zeros_like(mean))


def kl(mean: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)


def kl_by_item(mean: Tensor, log_var: Tensor) -> Tensor:
    terms = [
        sum(0.5 * (m * m + s.exp() - 1 - s) for m, s in zip(mean_b, log_var_b, strict=True))
        for mean_b, log_var_b in zip(mean, log_var, strict=True)
    ]
    return torch.stack(terms)


def kl_in_place(mean: Tensor, log_var: Tensor) -> Tensor:
    value = kl(mean, log_var)
    log_var.data.exp_()
    return value


oracle(
    "kl-divergence",
    reference=lambda mean, log_var: td.kl_divergence(gaussian(mean, log_var), standard_like(mean)),
    right={
        "one line": kl,
        "expm1": lambda mean, log_var: 0.5 * (mean.square() + torch.expm1(log_var) - log_var).sum(dim=1),
        "observation by observation": kl_by_item,
        "einsum": lambda mean, log_var: (
            0.5 * (torch.einsum("bk,bk->b", mean, mean) + torch.einsum("bk->b", log_var.exp() - 1 - log_var))
        ),
        "minus of the textbook's line": lambda mean, log_var: (
            -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp(), dim=-1)
        ),
    },
    wrong={
        LOG_SIGMA: lambda mean, log_var: kl(mean, 2 * log_var),
        "exp(log_var) is the variance; it was squared once more": lambda mean, log_var: (
            0.5 * (mean**2 + (2 * log_var).exp() - 1 - log_var).sum(-1)
        ),
        "the sign is wrong; a KL divergence is never negative": lambda mean, log_var: -kl(mean, log_var),
        "averaged over the latents; a KL sums over them": lambda mean, log_var: kl(mean, log_var) / mean.shape[1],
        "the factor ½ is missing": lambda mean, log_var: 2 * kl(mean, log_var),
        "summed over the batch; one value an observation is wanted": lambda mean, log_var: kl(mean, log_var).sum(),
        "averaged over the batch; one value an observation is wanted": lambda mean, log_var: kl(mean, log_var).mean(),
        "left one value for each latent; sum over the latents": lambda mean, log_var: (
            0.5 * (mean**2 + log_var.exp() - 1 - log_var)
        ),
        "summed over the observations, axis 0; sum over the latents, axis 1": lambda mean, log_var: (
            0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(0)
        ),
        "this is KL(prior ‖ posterior); the two are exchanged": lambda mean, log_var: td.kl_divergence(
            standard_like(mean), gaussian(mean, log_var)
        ),
        "mean enters squared": lambda mean, log_var: kl(mean.abs().sqrt(), log_var),
        "the −1 is missing; the KL of the prior to itself is 0": lambda mean, log_var: (
            kl(mean, log_var) + mean.shape[1] / 2
        ),
        "no gradient reaches log_var": lambda mean, log_var: kl(mean, log_var.detach()),
        "log_var was clamped; the KL is right for every log_var": lambda mean, log_var: kl(
            mean, log_var.clamp(-10, 10)
        ),
        "the variance was kept from becoming small; the KL is right for every log_var": lambda mean, log_var: (
            0.5 * (mean**2 + log_var.exp() - 1 - (log_var.exp() + 1e-8).log()).sum(-1)
        ),
        "changed its argument `log_var` in place": kl_in_place,
    },
)


def reparameterize(mean: Tensor, log_var: Tensor, eps: Tensor) -> Tensor:
    return mean + (0.5 * log_var).exp() * eps


oracle(
    "reparameterize",
    reference=reparameterize,
    right={
        "square root of the variance": lambda mean, log_var, eps: mean + log_var.exp().sqrt() * eps,
        "addcmul": lambda mean, log_var, eps: torch.addcmul(mean, torch.exp(log_var / 2), eps),
        "location and scale of a distribution": lambda mean, log_var, eps: eps * torch.exp(log_var).pow(0.5) + mean,
    },
    wrong={
        LOG_SIGMA: lambda mean, log_var, eps: mean + log_var.exp() * eps,
        "log_var itself was used as the standard deviation": lambda mean, log_var, eps: mean + log_var * eps,
        "exp(−log_var/2) is one over the standard deviation": lambda mean, log_var, eps: (
            mean + (-0.5 * log_var).exp() * eps
        ),
        "no gradient reaches log_var: the standard deviation was detached": lambda mean, log_var, eps: (
            mean + (0.5 * log_var).exp().detach() * eps
        ),
        "no gradient passes: the code was detached or made under no_grad": lambda mean, log_var, eps: reparameterize(
            mean, log_var, eps
        ).detach(),
        "draws random numbers of its own": lambda mean, log_var, eps: reparameterize(
            mean, log_var, torch.randn_like(eps)
        ),
        "the noise is subtracted; add it": lambda mean, log_var, eps: mean - (0.5 * log_var).exp() * eps,
        "mean is missing": lambda mean, log_var, eps: (0.5 * log_var).exp() * eps,
        "eps is missing": lambda mean, log_var, eps: (mean + (0.5 * log_var).exp()).expand(eps.shape).clone(),
        "a constant was added to the standard deviation": lambda mean, log_var, eps: (
            mean + ((0.5 * log_var).exp() + 0.01) * eps
        ),
        "log_var was clamped": lambda mean, log_var, eps: reparameterize(mean, log_var.clamp(-10, 10), eps),
        "only the first sample was kept; keep the leading axis of eps": lambda mean, log_var, eps: reparameterize(
            mean, log_var, eps[0] if eps.dim() == 3 else eps
        ),
    },
)


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    return (F.softplus(logits) - x * logits).flatten(1).sum(1)


oracle(
    "bernoulli-nll",
    reference=bernoulli_nll,
    right={
        "binary cross-entropy with logits": lambda logits, x: (
            F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
        ),
        "a distribution": lambda logits, x: (
            -td.Bernoulli(logits=logits, validate_args=False).log_prob(x).flatten(1).sum(1)
        ),
        "two log-sigmoids": lambda logits, x: (
            -(x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(dim=tuple(range(1, x.dim())))
        ),
        "logaddexp, image by image": lambda logits, x: torch.stack(
            [
                (torch.logaddexp(image, torch.zeros_like(image)) - target * image).sum()
                for image, target in zip(logits, x, strict=True)
            ]
        ),
    },
    wrong={
        "averaged over the pixels; a log-likelihood sums over them": lambda logits, x: (
            bernoulli_nll(logits, x) / x[0].numel()
        ),
        "averaged over all pixels and images; one value an image is wanted": lambda logits, x: (
            F.binary_cross_entropy_with_logits(logits, x)
        ),
        "summed over the batch as well; one value an image is wanted": lambda logits, x: bernoulli_nll(logits, x).sum(),
        "the logits went through a sigmoid and then a log, which breaks for confident pixels": lambda logits, x: (
            F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").flatten(1).sum(1)
        ),
        "the probabilities were clipped, which stops learning from confident mistakes": lambda logits, x: (
            -(x * torch.log(torch.sigmoid(logits) + 1e-8) + (1 - x) * torch.log(1 - torch.sigmoid(logits) + 1e-8))
            .flatten(1)
            .sum(1)
        ),
        "a sigmoid was taken before a loss that expects logits": lambda logits, x: bernoulli_nll(
            torch.sigmoid(logits), x
        ),
        "logits were taken for probabilities": lambda logits, x: (
            -(x * torch.log(logits) + (1 - x) * torch.log(1 - logits)).flatten(1).sum(1)
        ),
        "x and logits have exchanged roles": lambda logits, x: bernoulli_nll(x, logits),
        "the sign is wrong; this is log p, its negative is wanted": lambda logits, x: -bernoulli_nll(logits, x),
        "the pixels that are 0 are missing; they have a likelihood too": lambda logits, x: (
            (x * F.softplus(-logits)).flatten(1).sum(1)
        ),
        "left one value for each pixel; sum over them": lambda logits, x: F.softplus(logits) - x * logits,
        "summed over one axis only; sum over all but the batch": lambda logits, x: (
            F.softplus(logits) - x * logits
        ).sum(1),
        "squared error is not the likelihood of a Bernoulli": lambda logits, x: (
            (torch.sigmoid(logits) - x).square().flatten(1).sum(1)
        ),
        "x was rounded to 0 or 1; grey targets stay as they are": lambda logits, x: bernoulli_nll(logits, x.round()),
        "changed the logits to clamp them; they are right up to ±1000": lambda logits, x: bernoulli_nll(
            logits.clamp(-15, 15), x
        ),
    },
)


def gaussian_nll(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return 0.5 * ((x - mean) ** 2 / variance + (2 * math.pi * variance).log()).flatten(1).sum(1)


def squared(x: Tensor, mean: Tensor) -> Tensor:
    return (x - mean).square().flatten(1).sum(1)


oracle(
    "gaussian-nll",
    reference=lambda x, mean, variance: -td.Normal(mean, variance.sqrt()).log_prob(x).flatten(1).sum(1),
    right={
        "one line": gaussian_nll,
        "torch's loss": lambda x, mean, variance: (
            F.gaussian_nll_loss(mean, x, variance.expand_as(x), full=True, reduction="none").flatten(1).sum(1)
        ),
        "three terms": lambda x, mean, variance: (
            ((x - mean) ** 2 / (2 * variance)).flatten(1).sum(1)
            + 0.5 * variance.log().expand_as(x).flatten(1).sum(1)
            + 0.5 * math.log(2 * math.pi) * x[0].numel()
        ),
    },
    wrong={
        "the term with log σ² is missing; without it a larger variance is always better": lambda x, mean, variance: (
            gaussian_nll(x, mean, variance) - 0.5 * variance.log().expand_as(x).flatten(1).sum(1)
        ),
        "the factor ½ before the squared error is missing": lambda x, mean, variance: (
            gaussian_nll(x, mean, variance) + 0.5 * ((x - mean) ** 2 / variance).flatten(1).sum(1)
        ),
        "the factor ½ before the logarithm is missing": lambda x, mean, variance: (
            gaussian_nll(x, mean, variance) + 0.5 * (2 * math.pi * variance).log().expand_as(x).flatten(1).sum(1)
        ),
        "the constant log 2π is missing": lambda x, mean, variance: (
            gaussian_nll(x, mean, variance) - 0.5 * math.log(2 * math.pi) * x[0].numel()
        ),
        "the logarithm was added after the sum; every pixel has one": lambda x, mean, variance: (
            (0.5 * (x - mean) ** 2 / variance).flatten(1).sum(1) + 0.5 * (2 * math.pi * variance).log()
        ),
        "variance was read as its logarithm; here it is σ² itself": lambda x, mean, variance: gaussian_nll(
            x, mean, variance.exp()
        ),
        "variance was used as the standard deviation": lambda x, mean, variance: gaussian_nll(x, mean, variance**2),
        "averaged over the pixels; a log-likelihood sums over them": lambda x, mean, variance: (
            gaussian_nll(x, mean, variance) / x[0].numel()
        ),
        "averaged over the batch; one value an image is wanted": lambda x, mean, variance: gaussian_nll(
            x, mean, variance
        ).mean(),
        "the logarithm was counted once for each image instead of once for each pixel": lambda x, mean, variance: (
            (0.5 * (x - mean) ** 2 / variance).flatten(1).sum(1)
            + 0.5 * (2 * math.pi * variance).log().expand_as(x).flatten(1).mean(1)
        ),
        "the sign is wrong; this is log p, its negative is wanted": lambda x, mean, variance: (
            -gaussian_nll(x, mean, variance)
        ),
        "squared error alone; divide by 2σ² and add the logarithm": lambda x, mean, variance: squared(x, mean),
        "no gradient reaches variance; it is learned too": lambda x, mean, variance: gaussian_nll(
            x, mean, variance.detach()
        ),
        "the error is multiplied by the variance; divide by it": lambda x, mean, variance: (
            0.5 * ((x - mean) ** 2 * variance + (2 * math.pi * variance).log()).flatten(1).sum(1)
        ),
        "the variance was clamped from below": lambda x, mean, variance: gaussian_nll(
            x, mean, variance.clamp(min=0.01)
        ),
    },
)


class Encoder(nn.Module):
    """An MLP with two heads; each flaw that a student may build in is one argument."""

    def __init__(self, inputs: int, latent: int, heads: str = "two", flaw: str = "") -> None:
        super().__init__()
        body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 32), nn.ReLU())
        self.body = [body] if flaw == "list" else nn.ModuleList([body])
        self.heads, self.flaw = heads, flaw
        self.mean = nn.Linear(32, latent * (2 if heads == "chunked" else 1))
        self.log_var = nn.Linear(32, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.flaw == "in place":
            x.sub_(0.5)
        h = self.body[0](x)
        if self.heads == "chunked":
            mean, log_var = self.mean(h).chunk(2, dim=-1)
        else:
            mean, log_var = self.mean(h), (self.mean if self.heads == "shared" else self.log_var)(h)
        match self.flaw:
            case "softplus":
                log_var = F.softplus(log_var)
            case "negative":
                log_var = -F.softplus(log_var)
            case "relu":
                mean = F.relu(mean)
            case "constant":
                log_var = self.log_var.bias.expand_as(log_var)
            case "squeeze":
                mean, log_var = mean.squeeze(), log_var.squeeze()
            case "batch mean":
                mean = (mean - mean.mean(0)) / (mean.std(0, unbiased=False) + 1)
            case "sampled":
                mean = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
            case "detached":
                mean, log_var = self.mean(h.detach()), self.log_var(h.detach())
        return mean, log_var


def mlp_decoder(latent: int, shape: tuple[int, ...], *last: nn.Module) -> nn.Module:
    hidden = nn.Sequential(nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, math.prod(shape)))
    return nn.Sequential(*hidden, *last, nn.Unflatten(1, shape))


class Rounded(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z.round()


def build_mlp(channels: int, height: int, width: int, latent: int, **encoder: str) -> tuple[nn.Module, nn.Module]:
    shape = (channels, height, width)
    return Encoder(math.prod(shape), latent, **encoder), mlp_decoder(latent, shape)


def build_convolutional(channels: int, height: int, width: int, latent: int) -> tuple[nn.Module, nn.Module]:
    class Convolutional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 16, 4, 2, 1), nn.Flatten()
            )
            self.head = nn.Linear(16 * (height // 4) * (width // 4), 2 * latent)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mean, log_var = self.head(self.body(x)).tensor_split(2, dim=1)
            return mean, log_var.clamp(-12, 12)

    decoder = nn.Sequential(
        nn.Linear(latent, 16 * (height // 4) * (width // 4)),
        nn.Tanh(),
        nn.Unflatten(1, (16, height // 4, width // 4)),
        nn.ConvTranspose2d(16, 8, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, channels, 4, 2, 1),
    )
    return Convolutional(), decoder


def build_flawed(flaw: str, channels: int, height: int, width: int, latent: int) -> tuple[nn.Module, nn.Module]:
    """A pair whose decoder has one flaw."""
    shape = (channels, height, width)
    encoder = Encoder(math.prod(shape), latent)
    match flaw:
        case "sigmoid":
            return encoder, mlp_decoder(latent, shape, nn.Sigmoid())
        case "tanh":
            return encoder, mlp_decoder(latent, shape, nn.Tanh())
        case "swapped":
            return encoder, mlp_decoder(latent, (channels, width, height))
        case "flat":
            return encoder, mlp_decoder(latent, shape)[:-1]
        case "rounded":
            return encoder, nn.Sequential(Rounded(), mlp_decoder(latent, shape))
        case "one channel":
            return encoder, mlp_decoder(latent, (1, height, width))
        case _:
            return Encoder(math.prod(shape), 10), mlp_decoder(10, shape)


@cache
def cached_pair(*size: int) -> tuple[nn.Module, nn.Module]:
    return build_mlp(*size)


def build_deep(channels: int, height: int, width: int, latent: int) -> list[nn.Module]:
    """Normalised layers, dropout, heads that start at zero, and a list instead of a tuple."""
    encoder = Encoder(channels * height * width, latent)
    encoder.body[0] = nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 64, bias=False),
        nn.BatchNorm1d(64),
        nn.SiLU(inplace=True),
        nn.Dropout(0.2),
        nn.Linear(64, 32),
        nn.LayerNorm(32),
        nn.Tanh(),
    )
    nn.init.zeros_(encoder.log_var.weight)
    nn.init.zeros_(encoder.log_var.bias)
    return [encoder, mlp_decoder(latent, (channels, height, width))]


oracle(
    "networks",
    reference=build_mlp,
    right={
        "one head chunked in two": lambda c, h, w, k: build_mlp(c, h, w, k, heads="chunked"),
        "convolutions with BatchNorm and a clamped log_var": build_convolutional,
        "normalised layers, dropout and a head that starts at zero": build_deep,
    },
    wrong={
        "log_var is never below -1": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="softplus"),
        "log_var is never above 0": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="negative"),
        "mean is never below -1": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="relu"),
        "log_var is computed from mean": lambda c, h, w, k: build_mlp(c, h, w, k, heads="shared"),
        "mean has shape (10,)": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="squeeze"),
        "mean of an image depends on the other images": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="batch mean"),
        "is random in eval mode": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="sampled"),
        "log_var is the same for every image": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="constant"),
        "no gradient reaches some weights of the encoder": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="detached"),
        "the encoder uses weights that encoder.parameters() does not list": lambda c, h, w, k: build_mlp(
            c, h, w, k, flaw="list"
        ),
        "a network changed its input in place": lambda c, h, w, k: build_mlp(c, h, w, k, flaw="in place"),
        "logits is never below -1": lambda c, h, w, k: build_flawed("sigmoid", c, h, w, k),
        "logits is never below -1, whatever the weights": lambda c, h, w, k: build_flawed("tanh", c, h, w, k),
        "height and width are swapped": lambda c, h, w, k: build_flawed("swapped", c, h, w, k),
        "logits has shape (16, 256)": lambda c, h, w, k: build_flawed("flat", c, h, w, k),
        "logits has shape (16, 1, 16, 40)": lambda c, h, w, k: build_flawed("one channel", c, h, w, k),
        "no gradient reaches some units of z": lambda c, h, w, k: build_flawed("rounded", c, h, w, k),
        "mat1 and mat2 shapes cannot be multiplied (16x7 and 10x32)": lambda c, h, w, k: build_flawed(
            "10 latents", c, h, w, k
        ),
        "build_vae should return two torch.nn.Module objects": lambda c, h, w, k: (lambda x: x, lambda z: z),
        "two calls return the same networks": cached_pair,
        "build_vae seeds torch's random numbers": lambda c, h, w, k: (
            torch.manual_seed(0),
            build_mlp(c, h, w, k),
        )[1],
    },
    exact=False,
)


def elbo(x, mean, log_var, log_likelihood, eps):
    return log_likelihood(x, reparameterize(mean, log_var, eps)).mean(0) - kl(mean, log_var)


def elbo_sample_by_sample(x, mean, log_var, log_likelihood, eps):
    q, prior = gaussian(mean, log_var), standard_like(mean)
    total = torch.zeros_like(mean[:, 0])
    for noise in eps:
        z = q.base_dist.loc + q.base_dist.scale * noise
        total = total + log_likelihood(x, z) + prior.log_prob(z) - q.log_prob(z)
    return total / len(eps)


def elbo_flattened(x, mean, log_var, log_likelihood, eps):
    samples, batch = eps.shape[:2]
    z = reparameterize(mean, log_var, eps).flatten(0, 1)
    repeated = x.repeat(samples, *[1] * (x.dim() - 1))
    return log_likelihood(repeated, z).view(samples, batch).mean(0) - kl(mean, log_var)


def joint_terms(x, mean, log_var, log_likelihood, eps):
    """Codes, log p(x|z) and log p(z) of every sample, for the variants below."""
    z = reparameterize(mean, log_var, eps)
    return z, log_likelihood(x, z), standard_like(mean).log_prob(z)


oracle(
    "elbo",
    reference=elbo,
    right={
        "a loop with distributions": elbo_sample_by_sample,
        "samples and batch flattened into one axis": elbo_flattened,
        "KL by torch.distributions": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, reparameterize(mean, log_var, eps))
            - td.kl_divergence(gaussian(mean, log_var), standard_like(mean))
        ).mean(dim=0),
    },
    wrong={
        "the KL divergence was added; it is a price, subtract it": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, reparameterize(mean, log_var, eps)).mean(0) + kl(mean, log_var)
        ),
        "the codes were drawn with exp(log_var) as standard deviation": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, mean + log_var.exp() * eps).mean(0) - kl(mean, log_var)
        ),
        "logsumexp over the samples; the ELBO averages logarithms": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, reparameterize(mean, log_var, eps)).logsumexp(0) - math.log(len(eps)) - kl(mean, log_var)
        ),
        "logsumexp of the whole weight over the samples; the ELBO averages logarithms": (
            lambda x, mean, log_var, log_likelihood, eps: (
                log_likelihood(x, reparameterize(mean, log_var, eps)) - kl(mean, log_var)
            ).logsumexp(0)
        ),
        "no gradient passes through the codes: z was detached": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, reparameterize(mean, log_var, eps).detach()).mean(0) - kl(mean, log_var)
        ),
        "the prior was counted twice: it is in the KL already": lambda x, mean, log_var, log_likelihood, eps: (
            sum(joint_terms(x, mean, log_var, log_likelihood, eps)[1:]).mean(0) - kl(mean, log_var)
        ),
        "the prior was counted twice: log p(z) is in the KL already": lambda x, mean, log_var, log_likelihood, eps: (
            elbo(x, mean, log_var, log_likelihood, eps)
            - 0.5 * reparameterize(mean, log_var, eps).square().sum(-1).mean(0)
        ),
        "the entropy of q is missing: that is E log p(x, z)": lambda x, mean, log_var, log_likelihood, eps: sum(
            joint_terms(x, mean, log_var, log_likelihood, eps)[1:]
        ).mean(0),
        "the KL divergence is missing": lambda x, mean, log_var, log_likelihood, eps: log_likelihood(
            x, reparameterize(mean, log_var, eps)
        ).mean(0),
        "summed over the samples; average over them": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, reparameterize(mean, log_var, eps)).sum(0) - kl(mean, log_var)
        ),
        "the sign is wrong: this is the negative ELBO": lambda *arguments: -elbo(*arguments),
        "averaged over the batch; one value an observation is wanted": lambda *arguments: elbo(*arguments).mean(),
        "averaged over the batch instead of the samples: axis 0 is the samples": (
            lambda x, mean, log_var, log_likelihood, eps: (
                log_likelihood(x, reparameterize(mean, log_var, eps)).mean(1) - kl(mean, log_var).mean()
            )
        ),
        "x keeps its own axes, and the samples are an axis of z alone": lambda x, mean, log_var, log_likelihood, eps: (
            elbo(x[None], mean, log_var, log_likelihood, eps)
        ),
        "only the first sample was used": lambda x, mean, log_var, log_likelihood, eps: elbo(
            x, mean, log_var, log_likelihood, eps[:1]
        ),
        "the codes were averaged first, or the mean was decoded": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, mean) - kl(mean, log_var)
        ),
        "the KL divergence was averaged over the latents; it sums over them": (
            lambda x, mean, log_var, log_likelihood, eps: (
                log_likelihood(x, reparameterize(mean, log_var, eps)).mean(0) - kl(mean, log_var) / mean.shape[-1]
            )
        ),
        "the KL divergence reads log_var as log σ": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, reparameterize(mean, log_var, eps)).mean(0) - kl(mean, 2 * log_var)
        ),
        "draws random numbers of its own": lambda x, mean, log_var, log_likelihood, eps: elbo(
            x, mean, log_var, log_likelihood, torch.randn_like(eps)
        ),
        "no gradient reaches the KL divergence": lambda x, mean, log_var, log_likelihood, eps: (
            log_likelihood(x, reparameterize(mean, log_var, eps)).mean(0) - kl(mean, log_var).detach()
        ),
    },
)


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    return log_w.logsumexp(0) - math.log(len(log_w))


def bound_by_shift(log_w: Tensor) -> Tensor:
    highest = log_w.max(dim=0).values
    return highest + (log_w - highest).exp().mean(0).log()


def bound_by_logaddexp(log_w: Tensor) -> Tensor:
    total = log_w[0]
    for row in log_w[1:]:
        total = torch.logaddexp(total, row)
    return total - math.log(log_w.shape[0])


oracle(
    "importance-weighted-bound",
    reference=importance_weighted_bound,
    right={
        "shifted exponentials": bound_by_shift,
        "logaddexp in a loop": bound_by_logaddexp,
        "log S subtracted first": lambda log_w: torch.logsumexp(
            log_w - torch.log(torch.tensor(len(log_w), dtype=log_w.dtype)), dim=0
        ),
    },
    wrong={
        "averaged the logarithms, which is the ELBO; average the weights": lambda log_w: log_w.mean(0),
        "log S was not subtracted": lambda log_w: log_w.logsumexp(0),
        "log S was added; subtract it": lambda log_w: log_w.logsumexp(0) + math.log(len(log_w)),
        "S was subtracted instead of log S": lambda log_w: log_w.logsumexp(0) - len(log_w),
        "divided by S outside the logarithm; subtract log S": lambda log_w: log_w.logsumexp(0) / len(log_w),
        "log of the batch size was subtracted; log S belongs there, the length of axis 0": lambda log_w: (
            log_w.logsumexp(0) - math.log(log_w.shape[1])
        ),
        "the exponential was taken without shifting and over- or underflows; use logsumexp": lambda log_w: (
            log_w.exp().mean(0).log()
        ),
        "summed over the batch, axis 1; the samples are axis 0": lambda log_w: (
            log_w.logsumexp(1) - math.log(log_w.shape[1])
        ),
        "averaged over the batch; one bound an observation is wanted": lambda log_w: importance_weighted_bound(
            log_w
        ).mean(),
        "took the largest weight instead of the average": lambda log_w: log_w.max(0).values,
        "the mean of the weights is not in nats; take its logarithm": lambda log_w: log_w.exp().mean(0),
        "kept the sample axis": lambda log_w: log_w.logsumexp(0, keepdim=True) - math.log(len(log_w)),
        "no gradient reaches log_w": lambda log_w: importance_weighted_bound(log_w).detach(),
        "the shift was detached on one side only, which changes the gradient": lambda log_w: (
            log_w.max(0).values.detach() + (log_w - log_w.max(0).values).exp().mean(0).log()
        ),
    },
)


oracle(
    "beta-schedule",
    reference=lambda step, warmup, beta_max: float(beta_max * min(step / warmup, 1.0)),
    right={
        "an if": lambda step, warmup, beta_max: beta_max if step >= warmup else beta_max * step / warmup,
        "capped at the end": lambda step, warmup, beta_max: min(beta_max, beta_max * step / warmup),
        "linspace": lambda step, warmup, beta_max: float(
            torch.linspace(0, beta_max, warmup + 1, dtype=torch.float64)[min(step, warmup)]
        ),
    },
    wrong={
        "one step ahead: at step 0 β is 0": lambda step, warmup, beta_max: beta_max * min((step + 1) / warmup, 1),
        "full one step early: at step = warmup it first is β_max": lambda step, warmup, beta_max: (
            beta_max * min(step / max(warmup - 1, 1), 1)
        ),
        "late by a step: at step = warmup it is β_max": lambda step, warmup, beta_max: (
            beta_max * min(step / (warmup + 1), 1)
        ),
        "β has no cap: after the warm-up it stays at β_max": lambda step, warmup, beta_max: beta_max * step / warmup,
        "integer division: β rises smoothly": lambda step, warmup, beta_max: float(beta_max * min(step // warmup, 1)),
        "β_max is missing": lambda step, warmup, beta_max: min(step / warmup, 1.0),
        "β was capped at 1; cap it at β_max": lambda step, warmup, beta_max: min(beta_max * step / warmup, 1.0),
        "the minimum belongs inside the product: β_max · min(step / warmup, 1)": lambda step, warmup, beta_max: min(
            step / warmup, beta_max
        ),
        "β falls; it should rise from 0": lambda step, warmup, beta_max: beta_max * (1 - min(step / warmup, 1)),
        "constant: there is no warm-up": lambda step, warmup, beta_max: float(beta_max),
        "returned a Tensor; its signature promises a float": lambda step, warmup, beta_max: torch.tensor(
            beta_max * min(step / warmup, 1)
        ),
    },
)


oracle(
    "active-units",
    reference=lambda means, threshold: int((means.var(0) > threshold).sum()),
    right={
        "biased variance": lambda means, threshold: int((means.var(dim=0, unbiased=False) > threshold).sum().item()),
        "mean of squares less square of mean": lambda means, threshold: int(
            (means.double().square().mean(0) - means.double().mean(0).square() > threshold).sum()
        ),
        "unit by unit": lambda means, threshold: sum(1 for unit in means.T if unit.var().item() > threshold),
    },
    wrong={
        "compared the standard deviation with the threshold; compare the variance": lambda means, threshold: int(
            (means.std(0) > threshold).sum()
        ),
        "took the variance over the latents; take it over the data, axis 0": lambda means, threshold: int(
            (means.var(1) > threshold).sum()
        ),
        "used the mean square; subtract the mean first": lambda means, threshold: int(
            (means.square().mean(0) > threshold).sum()
        ),
        "compared |mean| with the threshold": lambda means, threshold: int((means.mean(0).abs() > threshold).sum()),
        "counted the inactive units": lambda means, threshold: int((means.var(0) <= threshold).sum()),
        "one variance over all units: each unit has its own": lambda means, threshold: (
            int(means.var() > threshold) * means.shape[1]
        ),
        "compared the average variance of the units": lambda means, threshold: int(means.var(0).mean() > threshold),
        "returned a float; its signature promises an int": lambda means, threshold: float(
            (means.var(0) > threshold).float().mean()
        ),
        "returned a Tensor; its signature promises an int": lambda means, threshold: (means.var(0) > threshold).sum(),
        "compared the range of a unit with the threshold; compare its variance": lambda means, threshold: int(
            (means.amax(0) - means.amin(0) > 2 * threshold**0.5).sum()
        ),
        "counts entries, not units": lambda means, threshold: int(((means - means.mean(0)).square() > threshold).sum()),
        "the threshold was ignored; 0.01 is only the usual choice": lambda means, threshold: int(
            (means.var(0) > 0.01).sum()
        ),
    },
)


def continuous_bernoulli(logits: Tensor) -> Tensor:
    """log C = log(l / tanh(l/2)), written with |l|; the series is taken where the closed form loses its digits."""
    size = logits.abs()
    safe = torch.where(size < 0.05, torch.ones_like(size), size)
    closed = safe.log() + torch.log1p(torch.exp(-safe)) - torch.log(-torch.expm1(-safe))
    series = math.log(2) + size**2 / 12 - 7 * size**4 / 1440
    return torch.where(size < 0.05, series, closed)


def away_from_zero(logits: Tensor) -> Tensor:
    return torch.where(logits.abs() < 1e-2, torch.ones_like(logits), logits)


def near_zero(logits: Tensor, closed: Tensor) -> Tensor:
    return torch.where(logits.abs() < 1e-2, math.log(2) + logits**2 / 12, closed)


def by_exponential(logits: Tensor) -> Tensor:
    safe = away_from_zero(logits)
    return near_zero(logits, torch.log(safe * (1 + safe.exp()) / torch.expm1(safe)))


def from_softplus(logits: Tensor) -> Tensor:
    size = away_from_zero(logits).abs()
    return near_zero(logits, F.softplus(-size) - torch.log(-torch.expm1(-size)) + size.log())


def by_probability(logits: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return torch.log(2 * torch.atanh(1 - 2 * p) / (1 - 2 * p))


oracle(
    "continuous-bernoulli",
    reference=continuous_bernoulli,
    right={
        "softplus and expm1": from_softplus,
        "tanh, with the singular point moved": lambda logits: near_zero(
            logits, (away_from_zero(logits) / torch.tanh(away_from_zero(logits) / 2)).log()
        ),
    },
    wrong={
        "NaN at logit 0; take a series there": lambda logits: (
            torch.log(logits.abs()) - torch.log(torch.tanh(logits.abs() / 2))
        ),
        "NaN gradient at logit 0: torch.where passes the NaN of the branch that it drops": lambda logits: torch.where(
            logits == 0, math.log(2), torch.log(logits.abs()) - torch.log(torch.tanh(logits.abs() / 2))
        ),
        "the probability was rounded to 0 or 1; stay with the logits": by_probability,
        "torch's ContinuousBernoulli goes through probabilities; stay with the logits": lambda logits: (
            td.ContinuousBernoulli(logits=logits)._cont_bern_log_norm()
        ),
        "the probability was clipped; stay with the logits": lambda logits: by_probability(
            torch.where(logits.abs() < 1e-2, 1e-2, logits).clamp(-10, 10)
        ),
        "this is C, its logarithm is wanted": lambda logits: continuous_bernoulli(logits).exp(),
        "the sign is wrong; the normalizer multiplies the density": lambda logits: -continuous_bernoulli(logits),
        "the branch was chosen for the whole tensor; choose it for each logit": lambda logits: (
            math.log(2) + logits**2 / 12 if (logits.abs() < 0.05).any() else continuous_bernoulli(logits)
        ),
        "the factor 2 at logit 0 is missing": lambda logits: continuous_bernoulli(logits) - math.log(2),
        "tanh(l), where tanh(l/2) belongs": lambda logits: torch.where(
            logits == 0, math.log(2), continuous_bernoulli(2 * logits) - math.log(2)
        ),
        "summed over the pixels; one value for each logit is wanted": lambda logits: (
            continuous_bernoulli(logits).flatten(1).sum(1)
        ),
        "exp(logits) overflows": lambda logits: by_exponential(logits),
        "a constant log 2 is right at logit 0 only": lambda logits: math.log(2) + 0 * logits,
    },
)
