# %% [markdown]
# # Lab 03 · The variational autoencoder
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({{colab}}/course/03-vae/03-vae.ipynb)
#
# You will build a model that draws T-shirts, digits and emoji it has never seen, and you will know *in nats* what every
# part of it costs. It takes about two hours.
#
# **After this lab you can**
#
# - derive the evidence lower bound (ELBO) and code it so that it really is a bound;
# - say what the two terms of the loss measure, and train a VAE on images, grey and colour;
# - bound $\log p(x)$ more tightly by importance weighting;
# - recognise posterior collapse – and say when it is the right answer.
#
# **It builds on** PyTorch basics (modules, autograd, a training loop) and on Gaussians. Labs 01 and 02 are not needed.
#
# **How the exercises work.** Replace `raise NotImplementedError` by your code, run the cell, then run the check below
# it. A check prints one line: `✓`, or `✗` with a sentence that tells you what is wrong. Experiments come right after the
# exercises that they need. If you are stuck, open a hint or read on: an experiment whose exercise is missing shows you
# the picture that it would have drawn. ●○○ is core, ●●○ takes more thought, ●●● is a challenge for bonus points.

# %%
if "google.colab" in str(get_ipython()):
    get_ipython().run_line_magic("pip", "install -q git+{{repository}}@{{tag}}")
import lvmlib; lvmlib.setup()  # fails on Colab? Runtime → Restart session, then run this again

# %%
import math
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvmlib import batches, check, experiment, fit, load, profile, seed_all, show
from lvmlib.classifier import load_classifier
from lvmlib.fit import clip_gradients

device = profile.device

# %% [markdown]
# ## Conventions
#
# They hold in all labs.
#
# | In the text | In the code | Meaning |
# |---|---|---|
# | $x$ | `x` | an observation; images are `(batch, channel, height, width)`, float32 in [0, 1] |
# | $z$ | `z` | a latent code; `(batch, latent)`, or `(samples, batch, latent)` – sample axes come first |
# | $\mu,\ \log\sigma^2$ | `mean`, `log_var` | a Gaussian; `log_var` is the logarithm of the **variance** |
# | $v$ | `variance` | the variance of a Gaussian over pixels (not its logarithm) |
# | $l$ | `logits` | of a pixel; $\operatorname{sigm}(l)=1/(1+e^{-l})$ is the probability of white |
# | $\log p(x\mid z)$ | `log_likelihood(x, z)` | summed over the pixels of an image; in nats |
#
# A loss is a number of **nats**: summed over the pixels and the latents of an observation, averaged over the batch. A
# nat is $1/\ln 2\approx 1.44$ bits. Keeping to sums matters: many a published VAE *averages* the squared error over the
# 784 pixels but *sums* the KL divergence over the latents. That looks harmless, and weights the KL by 784.

# %% [markdown]
# ## 1 · What a code costs
#
# A VAE describes an observation $x$ by a code $z$. Before it has seen anything, it believes that $z$ comes from the
# *prior* $p(z)=\mathcal N(0, I)$. Having seen $x$, its *encoder* answers with a Gaussian of its own,
# $q(z\mid x)=\mathcal N(\mu, \operatorname{diag}\sigma^2)$. How much did the encoder say? As much as its answer differs
# from what was believed before:
#
# $$\mathrm{KL}\big(q(z\mid x)\,\|\,p(z)\big)=\tfrac12\sum_k\left(\mu_k^2+\sigma_k^2-1-\log\sigma_k^2\right).$$
#
# This number is called the **rate**. A unit with $\mu_k=0$ and $\sigma_k=1$ says nothing and costs nothing; one that pins
# $z_k$ down to $\sigma_k=0.01$ costs more than 4 nats.
#
# ### Exercise 1 · `kl-divergence` · 2 points · ●○○ · 8 minutes
#
# Write the formula as code, for a whole batch.
#
# <details><summary>Hint: where does log σ² come from?</summary>
# The encoder gives <code>log_var</code>, which is log σ² already. You need no logarithm at all, and one exponential.
# </details>
#
# <details><summary>Hint: why not give σ to the network?</summary>
# A network's output may be any real number and σ must be positive. Half of the VAEs on the internet let the network give
# log σ, the other half log σ², and the two get mixed up: sampling with exp(s/2) while the KL reads s as log σ. If both
# are read as here you are safe.
# </details>

# %% exercise="kl-divergence"
def kl_divergence(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL divergence from N(mean, exp(log_var)) to the standard normal, in nats.

    Args:
        mean: shape (batch, latent).
        log_var: logarithm of the variances, shape (batch, latent).

    Returns:
        One divergence per observation, shape (batch,).
    """
    ### BEGIN SOLUTION
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
    ### END SOLUTION

# %% test="kl-divergence" points=2
check("kl-divergence", kl_divergence)

# %% [markdown]
# What a single unit costs, as its standard deviation shrinks from the prior's 1: once σ is small, every halving adds
# $\log 2\approx 0.69$ nats, that is one bit. A code is as expensive as it is precise.

# %% tags=["experiment"]
with experiment("price-of-precision"):
    sigma = torch.logspace(-3, 0.3, 60)
    rates = {
        f"μ = {mu}": kl_divergence(
            torch.full((60, 1), float(mu)), 2 * sigma.log()[:, None]
        ).tolist()
        for mu in (0, 1, 2)
    }
    bits = (-sigma.log2()).tolist()
    display(
        show.curves(
            rates,
            x=bits,
            xlabel="bits of precision, −log₂ σ",
            ylabel="rate in nats",
            title="What one unit costs",
        )
    )

# %% [markdown]
# ## 2 · Noise that gradients can pass
#
# To train the encoder we need the gradient of an average over $z\sim q(z\mid x)$ with respect to the numbers that
# *define* $q$. A sampler hides them. So we draw noise that depends on nothing, $\varepsilon\sim\mathcal N(0, I)$, and
# compute the code from it:
#
# $$z=\mu+\sigma\odot\varepsilon .$$
#
# Now $\partial z/\partial\mu=1$ and $\partial z/\partial\sigma=\varepsilon$: an ordinary differentiable function.
#
# ### Exercise 2 · `reparameterize` · 1 point · ●○○ · 5 minutes
#
# The noise is an argument, so that your function is exact and repeatable. It may come with a leading sample axis.
#
# <details><summary>Hint</summary>
# σ = exp(½ log σ²). Do not detach it: the spread has to be learned as well.
# </details>

# %% exercise="reparameterize"
def reparameterize(mean: Tensor, log_var: Tensor, eps: Tensor) -> Tensor:
    """Codes from N(mean, exp(log_var)) as a differentiable function of standard normal noise.

    Args:
        mean: shape (batch, latent).
        log_var: logarithm of the variances, shape (batch, latent).
        eps: standard normal noise, shape (batch, latent) or (samples, batch, latent).

    Returns:
        The codes z, in the shape of eps.
    """
    ### BEGIN SOLUTION
    return mean + (0.5 * log_var).exp() * eps
    ### END SOLUTION

# %% test="reparameterize" points=1
check("reparameterize", reparameterize)

# %% [markdown]
# ## 3 · How well a code describes
#
# The *decoder* turns a code into a distribution over observations. For real numbers we take a Gaussian whose mean $m$ the
# decoder gives and whose variance $v$ is learned as well:
#
# $$-\log p(x\mid z)=\sum_i\left[\frac{(x_i-m_i)^2}{2v_i}+\tfrac12\log(2\pi v_i)\right].$$
#
# Without the logarithm this would be squared error over $2v$, and a larger variance would always be better. The two terms
# together have their minimum where $v$ is the mean squared error: the model learns how wrong it is.
#
# A density may exceed 1, so with real numbers the nats of a *good* model can be negative. That is no bug.
#
# ### Exercise 3 · `gaussian-nll` · 2 points · ●●○ · 8 minutes
#
# Write the sum as code, for a batch. The variance may be one number for all pixels, or a tensor of any shape that broadcasts.
#
# <details><summary>Hint: one variance for all pixels</summary>
# Every pixel has its logarithm, also if they all share one variance. Let broadcasting spread it before you sum.
# </details>
#
# <details><summary>Hint: sum over all axes but the first</summary>
# <code>tensor.flatten(1).sum(1)</code> works for flat vectors and for images.
# </details>

# %% exercise="gaussian-nll"
def gaussian_nll(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Negative log-likelihood of observations under a Gaussian, in nats.

    Args:
        x: observations, shape (batch, …).
        mean: shape (batch, …).
        variance: a tensor of any shape that broadcasts against x: 0-d, one per channel, one per pixel.

    Returns:
        One value per observation, shape (batch,), summed over everything else.
    """
    ### BEGIN SOLUTION
    terms = (x - mean).square() / (2 * variance) + 0.5 * torch.log(2 * math.pi * variance)
    return terms.flatten(1).sum(1)
    ### END SOLUTION

# %% test="gaussian-nll" points=2
check("gaussian-nll", gaussian_nll)

# %% [markdown]
# ## 4 · The evidence lower bound
#
# We would like to maximise $\log p(x)=\log\int p(x\mid z)\,p(z)\,dz$, but the integral is out of reach. Put the encoder's
# $q$ into it and use that a logarithm is concave (Jensen's inequality):
#
# $$\log p(x)=\log\,\mathbb E_{q}\!\left[\frac{p(x\mid z)\,p(z)}{q(z\mid x)}\right]\ \ge\
# \mathbb E_{q}\!\left[\log\frac{p(x\mid z)\,p(z)}{q(z\mid x)}\right]
# =\underbrace{\mathbb E_{q}\left[\log p(x\mid z)\right]}_{-\text{distortion}}
# -\underbrace{\mathrm{KL}\big(q(z\mid x)\,\|\,p(z)\big)}_{\text{rate}} .$$
#
# The right-hand side is the **ELBO**. What is lost is exactly $\mathrm{KL}(q(z\mid x)\,\|\,p(z\mid x))$, so the bound is
# tight when the encoder gives the true posterior. The rate we know in closed form; the expectation we estimate with $S$
# codes $z_s=\mu+\sigma\odot\varepsilon_s$.
#
# ### Exercise 4 · `elbo` · 4 points · ●●○ · 15 minutes
#
# `log_likelihood(x, z)` takes codes with or without a sample axis: for `z` of shape `(samples, batch, latent)` it gives
# `(samples, batch)`. Use your functions from above.
#
# <details><summary>Hint: what is averaged?</summary>
# The average over q is an average of <em>logarithms</em>, over the sample axis. (The logarithm of an average comes in
# section 7, and is another bound.)
# </details>
#
# <details><summary>Hint: is p(z) missing?</summary>
# The prior is inside the KL divergence. Adding log p(z) as well would count it twice.
# </details>

# %% exercise="elbo"
def elbo(x: Tensor, mean: Tensor, log_var: Tensor, log_likelihood, eps: Tensor) -> Tensor:
    """Evidence lower bound on log p(x), in nats. Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014, equation 3.

    Args:
        x: observations, shape (batch, …).
        mean: of q(z | x), shape (batch, latent).
        log_var: of q(z | x), shape (batch, latent).
        log_likelihood: function (x, z) -> log p(x | z), shape (samples, batch) for z of (samples, batch, latent).
        eps: standard normal noise, shape (samples, batch, latent).

    Returns:
        One bound per observation, shape (batch,).
    """
    ### BEGIN SOLUTION
    z = reparameterize(mean, log_var, eps)
    return log_likelihood(x, z).mean(0) - kl_divergence(mean, log_var)
    ### END SOLUTION

# %% test="elbo" points=4
check("elbo", elbo)

# %% [markdown]
# ### What training needs besides
#
# Two helpers for everything that follows. `over_samples` decodes all codes of a batch in one go. `distortion_and_rate`
# splits your ELBO into its two terms: **−ELBO = distortion + rate**.

# %%
def over_samples(nll, decoder, x: Tensor, z: Tensor) -> Tensor:
    """log p(x | z) = −nll(decoder(z), x), shape z.shape[:-1], for codes z of shape (…, batch, latent)."""
    copies = x.expand(*z.shape[:-1], *x.shape[1:]).flatten(0, z.dim() - 2)
    return -nll(decoder(z.flatten(0, -2)), copies).unflatten(0, z.shape[:-1])


def distortion_and_rate(
    x: Tensor, encoder, log_likelihood, samples: int = 1
) -> tuple[Tensor, Tensor]:
    """The two terms of −ELBO in nats, one value per observation each: shapes (batch,) and (batch,)."""
    mean, log_var = encoder(x)
    eps = torch.randn(samples, *mean.shape, device=mean.device)
    rate = kl_divergence(mean, log_var)
    return -elbo(x, mean, log_var, log_likelihood, eps) - rate, rate

# %% [markdown]
# ### Experiment · When no latent is needed
#
# Two clouds of points in the plane. In one the coordinates are independent, in the other they are correlated. For each
# we train a small VAE: linear encoder, linear decoder, Gaussian likelihood with one learned variance for each
# coordinate. The entropy of the cloud is the least that any model can pay for a point.
#
# **Before you run it, guess:** how many of the two latent units will the VAE use, for each cloud?

# %%
class LinearGaussianVAE(nn.Module):
    """Linear encoder and decoder with a learned variance for each coordinate of the observation."""

    def __init__(self, dimensions: int, latent: int):
        super().__init__()
        self.posterior_mean = nn.Linear(dimensions, latent)
        self.posterior_log_var = nn.Parameter(torch.zeros(latent))
        self.decoder = nn.Linear(latent, dimensions)
        self.log_variance = nn.Parameter(torch.zeros(dimensions))

    def encoder(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.posterior_mean(x)
        return mean, self.posterior_log_var.expand_as(mean)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        return over_samples(
            lambda mean, x: gaussian_nll(x, mean, self.log_variance.exp()), self.decoder, x, z
        )

    def sample(self, count: int) -> Tensor:
        mean = self.decoder(torch.randn(count, self.decoder.in_features))
        return mean + (0.5 * self.log_variance).exp() * torch.randn_like(mean)

# %%
cfg = profile(smoke=dict(steps=50), cpu=dict(steps=1500), full=dict(steps=3000))


def train_linear_vae(x: Tensor) -> LinearGaussianVAE:
    vae = LinearGaussianVAE(dimensions=2, latent=2)
    optimizer = torch.optim.Adam(vae.parameters(), lr=0.02)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, cfg.steps)
    for _ in range(cfg.steps):
        distortion, rate = distortion_and_rate(x, vae.encoder, vae.log_likelihood, samples=4)
        optimizer.zero_grad()
        (distortion + rate).mean().backward()
        optimizer.step()
        slower.step()
    return vae


def entropy(cloud: Tensor) -> float:
    """Entropy in nats of the Gaussian with a cloud's covariance: (d/2) log 2πe + ½ log det Σ."""
    return (
        len(cloud.T) / 2 * math.log(2 * math.pi * math.e)
        + 0.5 * torch.logdet(torch.cov(cloud.T)).item()
    )

# %% tags=["experiment"]
with experiment("when-no-latent-is-needed"):
    seed_all(0)
    spread = {"independent": [[1.0, 0.0], [0.0, 0.4]], "correlated": [[1.0, 0.0], [0.9, 0.3]]}
    clouds, rates = {}, {}
    for name, matrix in spread.items():
        cloud = torch.randn(1000, 2) @ torch.tensor(matrix).T
        vae = train_linear_vae(cloud)
        with torch.no_grad():
            clouds |= {f"{name}: data": cloud, f"{name}: samples": vae.sample(1000)}
            distortion, rate = distortion_and_rate(
                cloud, vae.encoder, vae.log_likelihood, samples=100
            )
            mean, log_var = vae.encoder(cloud)
            rates[name] = [
                kl_divergence(mean[:, [k]], log_var[:, [k]]).mean().item() for k in range(2)
            ]
        print(
            f"{name:>11}: −ELBO {(distortion + rate).mean():.3f} nats (entropy of the data {entropy(cloud):.3f}) · "
            f"distortion {distortion.mean():.3f} · rate {rate.mean():.3f}"
        )
    display(show.clouds(clouds, title="Both VAEs have learned their cloud…"))
    display(
        show.bars(
            rates,
            xlabel="latent unit",
            ylabel="rate in nats",
            title="…but only one of them needs a code for it",
            sort=True,
        )
    )

# %% [markdown]
# Both models reach the entropy of their data, to about a hundredth of a nat: their bounds are tight. The first does so
# with a rate of nearly **zero**. Its decoder draws independent coordinates by itself, so a code could tell it nothing
# that is worth its price. This is called *posterior collapse*, and here it is the right answer. The second has to say where
# along the diagonal a point lies, and one unit is enough for that.
#
# Remember the lesson for later: a collapsed unit means that the decoder does not need it *for this data and this
# likelihood* – or that training never got to using it. Only the loss can tell which.

# %% [markdown]
# ## 5 · Images: distributions over pixels
#
# A pixel that is 0 or 1 follows a Bernoulli distribution. The decoder gives its **logit** $l$; the probability of white
# is $\operatorname{sigm}(l)=1/(1+e^{-l})$, and
#
# $$-\log p(x\mid z)=-\sum_i\big[x_i\log\operatorname{sigm}(l_i)+(1-x_i)\log(1-\operatorname{sigm}(l_i))\big]
# =\sum_i\big[\log(1+e^{l_i})-x_i\,l_i\big].$$
#
# The second form follows from $\log\operatorname{sigm}(l)=l-\log(1+e^l)$ and is the one to code: take a sigmoid in float32 and a
# confident mistake, at $l=20$ say, has probability exactly 1, a loss of 100 by a clamp that you never asked for, and *no
# gradient*.
#
# ### Exercise 5 · `bernoulli-nll` · 2 points · ●○○ · 8 minutes
#
# Grey pixels between 0 and 1 are allowed; the formula stays the same.
#
# <details><summary>Hint</summary>
# log(1 + e^l) is <code>F.softplus(l)</code>, which is stable for every l.
# </details>

# %% exercise="bernoulli-nll"
def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """Negative log-likelihood of images under independent Bernoulli pixels, in nats.

    Args:
        logits: shape (batch, …), any real numbers.
        x: the images, in [0, 1], same shape.

    Returns:
        One value per image, shape (batch,), summed over everything else.
    """
    ### BEGIN SOLUTION
    return (F.softplus(logits) - x * logits).flatten(1).sum(1)
    ### END SOLUTION

# %% test="bernoulli-nll" points=2
check("bernoulli-nll", bernoulli_nll)

# %% [markdown]
# ### Exercise 6 · `networks` · 3 points · ●●○ · 20 minutes
#
# Now the two networks. For images of many sizes, `build_vae` returns
#
# - an **encoder**: `(batch, channels, height, width)` → the pair `(mean, log_var)`, each `(batch, latent)`;
# - a **decoder**: `(batch, latent)` → logits, `(batch, channels, height, width)`.
#
# Both are `nn.Module` objects. A good start is an MLP with hidden layers of 512, 256 and 128 units, each
# `Linear` → `BatchNorm1d` → `SiLU`, mirrored in the decoder. Without a normalisation most latents of such a network never wake up.
# Convolutions are welcome too, if they work for any height and width that are multiples of 4.
#
# <details><summary>Hint: two outputs</summary>
# Write a small <code>nn.Module</code> whose <code>forward</code> returns a pair. Either it has two linear heads, or one of
# twice the size whose result you <code>chunk(2, dim=-1)</code>.
# </details>
#
# <details><summary>Hint: no activation at the end</summary>
# <code>mean</code>, <code>log_var</code> and the logits may be any real numbers. A ReLU at the end of log_var would forbid every
# variance below 1, and a sigmoid after the decoder would be applied a second time by the loss.
# </details>
#
# <details><summary>Hint: shapes</summary>
# <code>nn.Flatten()</code> before and <code>nn.Unflatten(1, (channels, height, width))</code> after the linear layers keep the batch
# axis, also for a batch of one.
# </details>

# %% exercise="networks"
def build_vae(channels: int, height: int, width: int, latent: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder for images of this size.

    Args:
        channels: 1 for grey, 3 for colour.
        height: of the images, in pixels.
        width: of the images, in pixels.
        latent: number of latent units.

    Returns:
        (encoder, decoder): encoder(x) gives (mean, log_var), each (batch, latent) and both computed from x; decoder(z)
        gives logits, shape (batch, channels, height, width).
    """
    ### BEGIN SOLUTION
    pixels = channels * height * width

    def hidden(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.SiLU())

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                nn.Flatten(), hidden(pixels, 512), hidden(512, 256), hidden(256, 128)
            )
            self.mean = nn.Linear(128, latent)
            self.log_var = nn.Linear(128, latent)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            h = self.body(x)
            return self.mean(h), self.log_var(h)

    decoder = nn.Sequential(
        hidden(latent, 128),
        hidden(128, 256),
        hidden(256, 512),
        nn.Linear(512, pixels),
        nn.Unflatten(1, (channels, height, width)),
    )
    return Encoder(), decoder
    ### END SOLUTION

# %% test="networks" points=3
check("networks", build_vae)

# %% [markdown]
# A sanity check that costs nothing: a decoder that knows nothing gives logits near 0, so every pixel costs
# $\log 2$ nats, and a 28×28 image $784\cdot\log 2\approx 543.4$. Random weights may shift that by a hundred nats; thousands
# would mean logits that are far too large.

# %% tags=["experiment"]
with experiment("knows-nothing"):
    seed_all(0)
    untrained = build_vae(1, 28, 28, latent=2)[1].eval()
    with torch.no_grad():
        logits = untrained(torch.randn(8, 2))
        nll = bernoulli_nll(logits, load("fashion_mnist", count=100)[0].images[:8])
    print(f"{nll.mean():.1f} nats an image; 784 log 2 = {784 * math.log(2):.1f}")
    display(
        show.grid(
            logits.sigmoid(),
            titles=[f"{nats:.0f} nats" for nats in nll],
            title="Untrained: every pixel undecided",
        )
    )

# %% [markdown]
# ### Training
#
# The loop is given; read it once. Each step draws one code per image, and the loss is distortion + β·rate, with β = 1 for
# now. The learning rate rises quickly and falls slowly to zero (`OneCycleLR`); gradients are clipped only where they
# explode. After each epoch the loop measures the test images, and logs the curves and some reconstructions for TensorBoard.

# %%
def bernoulli(decoder):
    """log p(x | z) under a decoder of logits."""
    return lambda x, z: over_samples(bernoulli_nll, decoder, x, z)


def draw(decoder, z: Tensor) -> Tensor:
    """Images in [0, 1] from codes: probabilities, or the means of a Gaussian decoder."""
    decoded = decoder(z)
    return decoded.sigmoid() if isinstance(decoded, Tensor) else decoded[0].clamp(0, 1)


@torch.no_grad()
def evaluate(x: Tensor, encoder, log_likelihood, samples: int = 1) -> dict[str, Tensor]:
    """Mean distortion, rate and −ELBO of images, in nats, with this many codes an image."""
    distortion, rate = distortion_and_rate(x.to(device), encoder, log_likelihood, samples)
    return {
        "test/loss": (distortion + rate).mean(),
        "test/distortion": distortion.mean(),
        "test/rate": rate.mean(),
    }

# %%
def train_vae(
    name,
    train,
    test,
    encoder,
    decoder,
    log_likelihood,
    *,
    epochs,
    beta_at=lambda step: 1.0,
    lr=3e-3,
    batch_size=64,
    groups=None,
):
    """Train a pair of networks and leave them in eval mode; returns the history.

    Curves and pictures go to runs/03-vae/NAME for TensorBoard. `groups` are parameters with
    learning rates of their own.
    """
    networks = nn.ModuleList([encoder, decoder]).to(device).train()
    loader = batches(train, batch_size, drop_last=True, device=device)
    optimizer = torch.optim.Adam(groups or networks.parameters(), lr, fused=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, epochs * len(loader), pct_start=0.1, cycle_momentum=False
    )
    steps = count()

    def step(x: Tensor) -> dict[str, Tensor]:
        distortion, rate = distortion_and_rate(x, encoder, log_likelihood)
        loss = (distortion + beta_at(next(steps)) * rate).mean()
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(networks.parameters(), 2000.0)
        optimizer.step()
        schedule.step()
        return {"loss": loss, "distortion": distortion.mean(), "rate": rate.mean()}

    def validate() -> dict[str, Tensor]:
        networks.eval()
        measured = evaluate(test.images, encoder, log_likelihood)
        networks.train()
        return measured

    def pictures(epoch: int) -> dict[str, Tensor]:
        networks.eval()
        x = test[:8].images.to(device)
        with torch.no_grad():
            grid = torch.cat([x, draw(decoder, encoder(x)[0])])
        networks.train()
        return {"originals over reconstructions": grid}

    history = fit(
        step,
        loader,
        epochs=epochs,
        validate=validate,
        on_epoch=pictures,
        log=f"runs/03-vae/{name}",
    )
    networks.eval()
    return history

# %% [markdown]
# To watch a training live, open a terminal in this folder and run `tensorboard --logdir runs` (on Colab: `%load_ext
# tensorboard`, then `%tensorboard --logdir runs`).
#
# ### Experiment · A map of clothes
#
# First with **two** latent units, because two fit on a page. The data are Fashion-MNIST, ten kinds of clothes in grey.

# %%
cfg = profile(
    smoke=dict(images=512, epochs=1),
    cpu=dict(images=6000, epochs=14),
    full=dict(images=60000, epochs=50),
)
clothes, test_clothes = load("fashion_mnist", count=cfg.images)
print(clothes, "·", ", ".join(clothes.classes))

# %% tags=["experiment"]
with experiment("clothes-training"):
    seed_all(1)
    pair = build_vae(1, 28, 28, latent=2)
    history = train_vae(
        "clothes-2", clothes, test_clothes, *pair, bernoulli(pair[1]), epochs=cfg.epochs
    )
    encoder, decoder = pair
    display(history.plot("loss", "test/loss", title="Two latents: −ELBO"))

# %% tags=["experiment", "cover"]
with experiment("clothes-manifold"):
    display(show.manifold(lambda z: draw(decoder, z), size=15, title="What each code means"))

# %% tags=["experiment"]
with experiment("clothes-codes"), torch.no_grad():
    codes = encoder(test_clothes.images.to(device))[0]
    display(
        show.scatter(
            codes, test_clothes.labels, test_clothes.classes, title="Where the test images are put"
        )
    )

# %% [markdown]
# The grid shows equally probable codes: it is spaced by the inverse of the normal distribution function, so every tile
# stands for the same share of the prior. Shoes of every height shade into one another, bags sit together, and nobody told
# the model what a shoe is. Compare with the second picture: classes that share a region are those that the first draws as
# in-between garments.
#
# ### Experiment · More room: sixteen latents

# %% tags=["experiment"]
with experiment("clothes-sixteen"):
    seed_all(2)
    pair = build_vae(1, 28, 28, latent=16)
    wide_history = train_vae(
        "clothes-16", clothes, test_clothes, *pair, bernoulli(pair[1]), epochs=cfg.epochs
    )
    wide_encoder, wide_decoder = pair
    display(
        wide_history.plot(
            "distortion", "test/distortion", title="Sixteen latents: the distortion falls…"
        )
    )
    display(
        wide_history.plot(
            "rate", "test/rate", title="…for a rate that it is worth; −ELBO is the sum of both"
        )
    )

# %% tags=["experiment"]
with experiment("clothes-reconstructions"), torch.no_grad():
    x = test_clothes.images[:10].to(device)
    rows = [draw(decoder, encoder(x)[0]), draw(wide_decoder, wide_encoder(x)[0])]
    display(
        show.reconstructions(
            x, *rows, labels=["original", "2 latents", "16 latents"], title="Test images"
        )
    )

# %% tags=["experiment"]
with experiment("clothes-samples"), torch.no_grad():
    seed_all(3)
    samples = draw(wide_decoder, torch.randn(40, 16, device=device))
    display(show.grid(samples, columns=10, title="New clothes: decoded from the prior"))

# %% [markdown]
# **How good is that?** Numbers to hold your −ELBO on test images against, in nats per image of 28×28 *grey* pixels:
#
# | | MNIST | Fashion-MNIST |
# |---|---|---|
# | a decoder that knows nothing | 543.4 | 543.4 |
# | independent pixels, each with its mean | 206.7 | 385.2 |
# | a mixture of ten Bernoulli templates | 169.2 | 285.0 |
# | the entropy of the grey values themselves: a floor | 46.0 | 188.1 |
#
# No model gets below the last row: with grey targets every pixel costs at least its own entropy. That is why
# Fashion-MNIST looks so expensive. (Papers threshold the pixels at ½, where the floor is 0; do not compare across.)

# %% [markdown]
# ### Question 1 · `which-beta` · 3 points
#
# A published implementation trains on the loss
#
# > mean squared error, averaged over the 784 pixels, + 0.1 · (KL divergence, averaged over the 5 latents).
#
# Up to a constant factor this is SSE + β·KL, with the *sum* of squared errors SSE and the KL divergence in nats. Which β is
# it? Which fixed variance $v$ of a Gaussian decoder makes the same loss a negative ELBO, up to a factor and a constant, and
# what do you expect to see in the reconstructions and in the rate?

# %% [markdown] think="which-beta" points=3
# Your answer to *which-beta*: give β, v, and what you expect to see.
#
# ### BEGIN MARK SCHEME
# Loss = SSE/784 + 0.1·KL/5 = (SSE + 15.68·KL)/784, so **β = 784·0.1/5 = 15.68** (1 point). If the student multiplies by ½ first (½ SSE + 7.84 KL) and says so,
# that is the same answer.
#
# −ELBO with a Gaussian decoder of variance v is SSE/(2v) + KL + constant; multiplied by 2v it is SSE + 2v·KL, so **v = β/2 = 7.84** (1 point).
#
# Pixels lie in [0, 1], so a standard deviation of 2.8 declares almost everything noise: blurry, average-looking reconstructions, a small rate,
# most units collapsed. (1 point for blur and low rate, or collapse, with the reason.)
# ### END MARK SCHEME

# %% [markdown]
# ## 6 · Warming up
#
# Early in training the decoder cannot use a code yet. The rate is the only term that can fall at once, and units that
# were switched off by then may never come back. A common remedy (Bowman et al., 2016; Sønderby et al., 2016): let the rate
# count little at first, $\beta_t=\beta_{\max}\cdot\min(t/T, 1)$.
#
# ### Exercise 7 · `beta-schedule` · 1 point · ●○○ · 4 minutes
#
# Write $\beta_t$ as a function of the step.

# %% exercise="beta-schedule"
def beta_schedule(step: int, warmup: int, beta_max: float) -> float:
    """Weight of the rate: rises linearly from 0 at step 0 to beta_max at step `warmup`, and stays there.

    Args:
        step: steps of training done so far, from 0.
        warmup: length of the rise in steps, at least 1.
        beta_max: the final weight.
    """
    ### BEGIN SOLUTION
    return beta_max * min(step / warmup, 1.0)
    ### END SOLUTION

# %% test="beta-schedule" points=1
check("beta-schedule", beta_schedule)

# %% [markdown]
# ### Exercise 8 · `active-units` · 2 points · ●○○ · 6 minutes
#
# When does a unit count as used? Burda et al. (2016) propose: when its posterior mean *depends on the image*, that is, when
# the variance of $\mu_k(x)$ over the data exceeds a small threshold, usually 0.01.
#
# <details><summary>Hint</summary>
# One variance for each column of <code>means</code>, then count. The result is a plain Python <code>int</code>.
# </details>

# %% exercise="active-units"
def active_units(means: Tensor, threshold: float) -> int:
    """Number of latent units whose posterior mean varies over the data. Burda et al., 2016, section 5.1.

    Args:
        means: posterior means of N observations, shape (N, latent).
        threshold: a unit is active if the variance of its column is greater.
    """
    ### BEGIN SOLUTION
    return int((means.var(0) > threshold).sum())
    ### END SOLUTION

# %% test="active-units" points=2
check("active-units", active_units)

# %% [markdown]
# ### Experiment · With and without warm-up
#
# Digits this time, 32 latents, everything else equal.

# %%
cfg = profile(
    smoke=dict(images=512, epochs=1, warmup=4),
    cpu=dict(images=6000, epochs=20, warmup=900),
    full=dict(images=60000, epochs=60, warmup=9000),
)
digits, test_digits = load("mnist", count=cfg.images)

# %% tags=["experiment"]
with experiment("warm-up"):
    rates = {}
    schedules = {
        "without-warm-up": lambda step: 1.0,
        "with-warm-up": lambda step: beta_schedule(step, cfg.warmup, 1.0),
    }
    for name, beta_at in schedules.items():
        seed_all(4)
        pair = build_vae(1, 28, 28, latent=32)
        log_likelihood = bernoulli(pair[1])
        train_vae(
            name, digits, test_digits, *pair, log_likelihood, epochs=cfg.epochs, beta_at=beta_at
        )
        with torch.no_grad():
            mean, log_var = pair[0](test_digits.images.to(device))
            rates[name] = [
                kl_divergence(mean[:, [k]], log_var[:, [k]]).mean().item() for k in range(32)
            ]
        found = evaluate(test_digits.images, pair[0], log_likelihood, samples=10)
        print(
            f"{name:>15}: {active_units(mean, 0.01)} active units of 32 · −ELBO {found['test/loss']:.1f} nats · "
            f"distortion {found['test/distortion']:.1f} · rate {found['test/rate']:.1f}"
        )
    display(
        show.bars(
            rates, xlabel="latent unit", ylabel="rate in nats", title="Rate by unit", sort=True
        )
    )
    digit_encoder, digit_decoder = pair  # of the last: with warm-up

# %% [markdown]
# With the suggested MLP you should see the loss fall by one to three nats, and where that comes from: the rate is *higher*,
# because more units are in use, and the distortion falls by more than that. So there the units that stayed off were a failure
# of training, not the right answer of section 4.
#
# If your own network uses all 32 units from the start, as convolutional networks often do, warm-up has nothing to
# repair, and its steps at a small β may even cost a nat. It is a remedy for a disease, not a vitamin.

# %% [markdown]
# ## 7 · A tighter bound
#
# Each of $S$ codes gives a weight $w_s=p(x, z_s)/q(z_s\mid x)$ whose expectation is exactly $p(x)$. The ELBO averages the
# logarithms of such weights. Average the weights *first*, and the bound gets tighter with every sample (Burda et al., 2016):
#
# $$\mathrm{ELBO}=\mathbb E\left[\log w\right]\ \le\ \mathbb E\Big[\log\tfrac1S\sum_{s=1}^S w_s\Big]\ \le\ \log p(x).$$
#
# ### Exercise 9 · `importance-weighted-bound` · 3 points · ●●○ · 10 minutes
#
# Log weights of images lie around −100 or −1000, where the exponential of float32 is zero. Work with their logarithms
# throughout.
#
# <details><summary>Hint</summary>
# <code>torch.logsumexp</code> shifts for you. What is log(1/S)?
# </details>

# %% exercise="importance-weighted-bound"
def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """Importance-weighted lower bound on log p(x), in nats.

    Burda, Grosse & Salakhutdinov, *Importance Weighted Autoencoders*, 2016, equation 8.

    Args:
        log_w: log p(x, z) − log q(z | x) of S draws, shape (S, batch).

    Returns:
        One bound per observation, shape (batch,). With S = 1 it is the ELBO's one-sample estimate.
    """
    ### BEGIN SOLUTION
    return log_w.logsumexp(0) - math.log(len(log_w))
    ### END SOLUTION

# %% test="importance-weighted-bound" points=3
check("importance-weighted-bound", importance_weighted_bound)

# %% [markdown]
# ### Experiment · How loose is the ELBO?
#
# For the model with two latents we can *compute* $\log p(x)=\log\int p(x\mid z)\,p(z)\,dz$, by adding up a fine grid over
# the plane. So for once we can see the bounds close in on what they bound.

# %%
def log_weights(x: Tensor, encoder, log_likelihood, samples: int) -> Tensor:
    """log p(x, z) − log q(z | x) for codes drawn from q, shape (samples, batch)."""
    mean, log_var = encoder(x)
    eps = torch.randn(samples, *mean.shape, device=x.device)
    z = reparameterize(mean, log_var, eps)
    log_prior_over_q = 0.5 * (eps**2 + log_var - z**2).sum(-1)
    return log_likelihood(x, z) + log_prior_over_q


def log_evidence(x: Tensor, decoder, points: int, reach: float = 4.5) -> Tensor:
    """log p(x) of a model with two latents, by a grid of points × points codes; shape (batch,)."""
    axis = torch.linspace(-reach, reach, points, device=x.device)
    log_cell = 2 * math.log(2 * reach / (points - 1)) - math.log(2 * math.pi)
    total = torch.full((len(x),), -math.inf, device=x.device)
    for z1 in axis:
        z = torch.stack([z1.expand(points), axis], 1)
        logits = decoder(z).flatten(1)
        log_joint = (
            x.flatten(1) @ logits.T - F.softplus(logits).sum(1) - 0.5 * (z**2).sum(1) + log_cell
        )
        total = torch.logaddexp(total, log_joint.logsumexp(1))
    return total

# %% tags=["experiment"]
with experiment("tighter-bounds"), torch.no_grad():
    cfg = profile(
        smoke=dict(images=20, points=60),
        cpu=dict(images=200, points=400),
        full=dict(images=1000, points=800),
    )
    seed_all(5)
    x = test_clothes.images[: cfg.images].to(device)
    bounds = {}
    for samples in (1, 5, 50, 500):
        log_w = torch.cat(
            [log_weights(part, encoder, bernoulli(decoder), samples) for part in x.split(20)], 1
        )
        bounds["ELBO" if samples == 1 else f"IW bound, S = {samples}"] = (
            importance_weighted_bound(log_w).mean().item()
        )
    bounds["log p(x), by a grid"] = log_evidence(x, decoder, cfg.points).mean().item()
    for name, nats in bounds.items():
        print(f"{name:>20}  {nats:9.2f} nats")
    evidence = bounds.pop("log p(x), by a grid")
    gaps = {"gap": [evidence - nats for nats in bounds.values()]}
    display(
        show.bars(
            gaps,
            ticks=list(bounds),
            xlabel="bound",
            ylabel="nats",
            title="How far each bound lies below log p(x)",
        )
    )

# %% [markdown]
# (With grey pixels, $p(x\mid z)$ does not integrate to one over $x$, so read “$\log p(x)$” as “the integral that the bounds
# bound”. The challenge at the end mends this.)
#
# ### Question 2 · `tight-but-poor` · 2 points
#
# Suppose that somebody shows you a VAE whose ELBO is within 0.1 nats of $\log p(x)$ on every test image. Its samples
# from the prior are poor all the same. How can that be?

# %% [markdown] think="tight-but-poor" points=2
# Your answer to *tight-but-poor*: give the reason, and one number that you would compute to find out, with what you would compare it.
#
# ### BEGIN MARK SCHEME
# A tight bound says that the encoder gives the posterior **of this model**: KL(q(z|x) ‖ p(z|x)) ≈ 0. It says nothing about the model: log p(x) itself may be
# low (weak decoder, too few latents, a likelihood that does not fit, such as a variance that is too large) (1 point).
#
# Samples come from codes of the *prior*: where the posteriors of the data together (the aggregate posterior) do not cover the prior, the decoder was never trained; or the samples add
# the likelihood's noise; or a collapsed model has a tight bound (q = prior = posterior) and samples the average image. Any of these, or "measure log p(x) / the
# distortion and rate, compare with another model" (1 point).
# ### END MARK SCHEME

# %% [markdown]
# ## 8 · Colour
#
# Nothing in the ELBO knew that images are grey. For colour we take your Gaussian likelihood, with one variance for all
# pixels that is learned along with the rest, and convolutional networks, which know that neighbouring pixels
# belong together. The networks are given (`lvmlib.networks`); the likelihood and the loss are yours.
#
# The images are emoji: 3,786 of them, those in several skin tones included. Mirror images double the training set.

# %%
from dataclasses import replace

from lvmlib.networks import ConvolutionalEncoder, GaussianDecoder, convolutional_decoder


def with_mirror_images(images):
    """An image set together with its mirror images, twice as long."""
    both = torch.cat([images.images, images.images.flip(-1)])
    return replace(
        images, images=both, labels=images.labels.repeat(2), factors=images.factors.repeat(2, 1)
    )


def calibrated_gaussian(decoder):
    """log p(x | z) under a decoder of means with one learned variance."""
    return lambda x, z: over_samples(
        lambda decoded, x: gaussian_nll(x, decoded[0], decoded[1].exp()), decoder, x, z
    )


def train_colour_vae(name, train, test, latent: int, epochs: int, lr=2e-3):
    encoder = ConvolutionalEncoder(3, 32, 32, latent).to(device)
    decoder = GaussianDecoder(convolutional_decoder(3, 32, 32, latent)).to(device)
    groups = [
        {"params": encoder.parameters(), "lr": lr},
        *decoder.parameter_groups(lr),
    ]  # σ learns faster
    warmup = max(1, epochs * len(train) // 32 // 10)
    train_vae(
        name,
        train,
        test,
        encoder,
        decoder,
        calibrated_gaussian(decoder),
        epochs=epochs,
        batch_size=32,
        groups=groups,
        beta_at=lambda step: beta_schedule(step, warmup, 1.0),
    )
    return encoder, decoder

# %%
cfg = profile(
    smoke=dict(images=256, epochs=1, face_epochs=1),
    cpu=dict(images="all", epochs=9, face_epochs=40),
    full=dict(images="all", epochs=60, face_epochs=40),
)
emoji, test_emoji = load("emoji", skin_tones=True, count=cfg.images)
display(show.grid(test_emoji.images[:30], columns=15, title="Some of the test images"))

# %% tags=["experiment"]
with experiment("emoji-reconstructions"):
    seed_all(7)
    emoji_encoder, emoji_decoder = train_colour_vae(
        "emoji", with_mirror_images(emoji), test_emoji, 128, cfg.epochs
    )
    with torch.no_grad():
        emoji_codes = emoji_encoder(test_emoji.images.to(device))[0]
        decoded = draw(emoji_decoder, emoji_codes).cpu()
        error = (decoded - test_emoji.images).square().mean()
        learned = (emoji_decoder.log_var / 2).exp()
        print(f"root of the mean squared error {error.sqrt():.3f} · learned √v {learned:.3f}")
        single = (
            (test_emoji.factors[:, 1] == 0).nonzero().flatten()[:28]
        )  # one of each, in its first tone
        for shown in single.split(14):
            display(
                show.reconstructions(test_emoji.images[shown], decoded[shown], title="Test images")
            )

# %% [markdown]
# The learned $\sqrt v$ is the typical error of a pixel: about as large as the root of the mean squared error, as it should
# be. (It was learned on the training images, which the model knows better.)
#
# **A direction that means something.** Many emoji exist in five skin tones. Take the average code of the darkest tone minus
# that of the lightest, over the training images, and add it step by step to the code of a *test* emoji. No label was used in
# training.

# %% tags=["experiment"]
with experiment("skin-tone"), torch.no_grad():
    person, tone, second = emoji.factors.T
    tone_codes = emoji_encoder(emoji.images.to(device))[0].cpu()
    direction = tone_codes[(tone == 5) & (second == 0)].mean(0) - tone_codes[
        (tone == 1) & (second == 0)
    ].mean(0)
    light = (
        ((test_emoji.factors[:, 1] == 1) & (test_emoji.factors[:, 2] == 0))
        .nonzero()
        .flatten()[[2, 5, 7]]
    )
    rows = []
    for index in light.tolist():
        path = emoji_codes[index].cpu() + torch.linspace(0, 1.4, 8)[:, None] * direction
        strip = draw(emoji_decoder, path.to(device)).cpu()
        rows.append(torch.cat([test_emoji.images[[index]], strip, test_emoji.images[[index + 4]]]))
    labels = ["lightest", *(f"{t:.1f}" for t in torch.linspace(0, 1.4, 8).tolist()), "darkest"]
    title = "The outer columns are originals; between them, the first moves along the direction"
    display(
        show.traversal(
            torch.stack(rows),
            column_labels=labels,
            xlabel="multiples of the direction",
            title=title,
        )
    )

# %% [markdown]
# Clothes and background darken a little as well: the direction is not purely the skin's. Lab 05 is about what it takes to
# get *disentangled* directions.
#
# **New faces.** Samples over all kinds of emoji are abstract patches: codes have 128 dimensions, and what lies between a flag
# and a strawberry is neither. For samples the data have to belong together: here the 151 of “Smileys & Emotion”, with
# three latents. So few images are overfitted (compare the training loss with that on the test images), and some samples are
# half face, half heart. But most are faces, and nobody drew them.

# %% tags=["experiment"]
with experiment("new-faces"):
    seed_all(8)
    faces, test_faces = load("emoji", category="Smileys & Emotion")
    face_encoder, face_decoder = train_colour_vae(
        "faces", with_mirror_images(faces), test_faces, 3, cfg.face_epochs
    )
    with torch.no_grad():
        display(
            show.grid(
                draw(face_decoder, torch.randn(45, 3, device=device)),
                columns=15,
                title="Faces that nobody drew",
            )
        )

# %% [markdown]
# ## 9 · Between the digits
#
# Back to the digits of section 6. Its codes live in 32 dimensions; what lies *between* two digits, and how far can a code
# be pushed before it means something else? (A standard deviation is here the prior's, which is 1.) A small classifier that was trained on real digits tells us what it sees.

# %%
def seen(images: Tensor) -> list[str]:
    """What the ready classifier takes each image for, and how sure it is."""
    confidence, digit = load_classifier("mnist")(images).softmax(1).max(1)
    return [f"{d} ({c:.0%})" for d, c in zip(digit.tolist(), confidence.tolist())]


first_of = [int((test_digits.labels == digit).nonzero()[0]) for digit in range(10)]

# %% tags=["experiment"]
with experiment("tweaked-codes"), torch.no_grad():
    seed_all(6)
    code = digit_encoder(test_digits.images[[first_of[3]]].to(device))[0]
    noise = torch.randn(9, code.shape[1], device=device)
    strength = torch.tensor([0.5, 1.0, 2.0], device=device).repeat_interleave(9)[:, None]
    tweaked = draw(digit_decoder, torch.cat([code, code + strength * noise.repeat(3, 1)]))
    for row, what in enumerate(("half a", "one", "two")):
        images = torch.cat([tweaked[:1], tweaked[1 + 9 * row : 10 + 9 * row]])
        title = f"The reconstruction (left), and its code moved by noise of {what} standard deviation{'s' * (row == 2)}"
        display(show.grid(images, columns=10, titles=seen(images), title=title))

# %% tags=["experiment"]
with experiment("between-digits"), torch.no_grad():
    path = torch.linspace(0, 1, 10, device=device)[:, None]
    for start, end in ((4, 9), (3, 5), (0, 6)):
        codes = digit_encoder(test_digits.images[[first_of[start], first_of[end]]].to(device))[0]
        images = draw(digit_decoder, codes[0] + path * (codes[1] - codes[0]))
        display(
            show.grid(
                images,
                columns=10,
                titles=seen(images),
                title="From one reconstruction to another, in equal steps of the code",
            )
        )

# %% [markdown]
# Half a standard deviation mostly leaves the digit what it is; one can change it, and two often leave no digit at all. Along a path the
# classifier stays sure for a while, then changes its mind within a step or two, and in between it may see a third digit
# or be unsure: the straight line between two codes can leave the region where the training images are.

# %% [markdown]
# ## 10 · Challenge: grey pixels done right
#
# We have used a Bernoulli likelihood for grey values. It works, but it is not a density on [0, 1]: it does not
# integrate to one. Loaiza-Ganem & Cunningham (2019) add the missing constant and call the result the *continuous
# Bernoulli*,
#
# $$p(x\mid l)=C(l)\;\sigma(l)^{x}\,(1-\sigma(l))^{1-x},\qquad
# \log C(l)=\log\frac{l}{\tanh(l/2)} .$$
#
# ### Exercise 10 · `continuous-bernoulli` · 2 bonus points · ●●● · 20 minutes
#
# At $l=0$ the formula is 0/0, and its limit is 2. Near 0 take the series
# $\log C(l)=\log 2+l^2/12-\dots$; far away, mind overflow up to $l=\pm700$. Values *and* gradients have to be finite
# everywhere. (The one in `torch.distributions` goes through probabilities and is off by 0.23 nats a pixel at $l=20$ in float32.)
#
# <details><summary>Hint: the gradient is NaN, though the value is right</summary>
# <code>torch.where(near, series, closed)</code> computes both branches, and the backward pass multiplies the dropped branch's
# infinite gradient by zero: NaN. Replace the argument of the dropped branch by something harmless <em>before</em> you compute it.
# </details>
#
# <details><summary>Hint: large logits</summary>
# The function is even, so work with |l|, where tanh(|l|/2) tends to 1 and nothing overflows.
# </details>

# %% exercise="continuous-bernoulli"
def continuous_bernoulli_log_normalizer(logits: Tensor) -> Tensor:
    """log C of the continuous Bernoulli, in nats. Loaiza-Ganem & Cunningham, 2019, equation 7, in terms of logits.

    Args:
        logits: any shape.

    Returns:
        One value per logit, same shape.
    """
    ### BEGIN SOLUTION
    size = logits.abs()
    near = size < 0.05
    safe = torch.where(near, torch.ones_like(size), size)
    closed = safe.log() - torch.tanh(safe / 2).log()
    series = math.log(2) + size**2 / 12 - 7 * size**4 / 1440
    return torch.where(near, series, closed)
    ### END SOLUTION

# %% test="continuous-bernoulli" points=2
check("continuous-bernoulli", continuous_bernoulli_log_normalizer)

# %% tags=["experiment"]
with experiment("continuous-bernoulli-density"):
    x = torch.linspace(0, 1, 101)
    densities = {}
    for logit in (-6.0, -1.5, 0.0, 3.0):
        logits = torch.full_like(x, logit)
        log_density = x * logits - F.softplus(logits) + continuous_bernoulli_log_normalizer(logits)
        densities[f"logit {logit:+.1f}"] = log_density.exp().tolist()
    display(
        show.curves(
            densities,
            x=x.tolist(),
            xlabel="grey value x",
            ylabel="density",
            title="Every curve now encloses area 1",
        )
    )

# %% [markdown]
# **The payoff**, if you like: add `-continuous_bernoulli_log_normalizer(logits).flatten(1).sum(1)` to your `bernoulli_nll`, train
# “clothes-2” once more and compare the pictures. The loss is then that of a density, and will be negative.
#
# ## Summary
#
# - −ELBO = distortion + rate, both in nats, summed over an observation. The gap to $-\log p(x)$ is the divergence of the
#   encoder from the true posterior.
# - `log_var` is log σ²; the noise is an argument; logits stay logits. Three conventions, and most published bugs avoided.
# - A likelihood is a choice: Gaussian with a learned variance, Bernoulli, continuous Bernoulli. It sets the weight of the
#   rate, whether you notice or not.
# - A unit that carries no rate may be a failure of training, or the right answer.
# - Averaging weights before the logarithm tightens the bound.
#
# ## Going further
#
# - Tomczak & Welling, *VAE with a VampPrior*, 2018: learn the prior too.
# - Rezende & Mohamed, *Variational Inference with Normalizing Flows*, 2015; Kingma et al., *Improved Variational Inference
#   with Inverse Autoregressive Flow*, 2016: posteriors that are no Gaussians.
# - Vahdat & Kautz, *NVAE*, 2020; Child, *Very Deep VAEs*, 2021: hierarchies of latents.
# - Rombach et al., *High-Resolution Image Synthesis with Latent Diffusion Models*, 2022: a VAE under most image
#   generators of today.
# - Alemi et al., *Fixing a Broken ELBO*, 2018: distortion and rate as a plane. 
