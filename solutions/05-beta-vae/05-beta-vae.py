# %% [markdown]
# # Lab 05 · β-VAE and latent traversals
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({{colab}}/course/05-beta-vae/05-beta-vae.ipynb)
#
# A VAE's latent units can mean anything. Weight its rate by a β above 1, and some of them start to mean *something*: one
# moves a sprite to the right, another makes it larger. You will see why, what it costs, how to show it without cheating, and how to
# measure it – and then you will fool the measures. It takes about two hours.
#
# **After this lab you can**
#
# - say what β buys and what it costs, and predict from the linear case which units switch off;
# - draw latent traversals that are honest;
# - measure disentanglement where the factors of variation are known, in three ways;
# - doubt each of the three.
#
# **It builds on** the VAE of lab 03: ELBO, rate, reparameterisation. You need no code from there.
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
from functools import partial
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvmlib import batches, check, experiment, fit, load, profile, seed_all, show
from lvmlib.classifier import load_classifier
from lvmlib.sprites import Lattice

device = profile.device

# %% [markdown]
# ## Conventions
#
# | In the text | In the code | Meaning |
# |---|---|---|
# | $x$ | `x` | an observation; images are `(batch, 1, height, width)`, float32 in [0, 1] |
# | $z$ | `z` | a latent code, `(batch, latent)`; a priori each unit is $\mathcal N(0,1)$ |
# | $\mu,\ \log\sigma^2$ | `mean`, `log_var` | of the encoder's Gaussian $q(z\mid x)$; `log_var` is the logarithm of the **variance** |
# | $-\log p(x\mid z)$ | `nll` | the **reconstruction** loss: summed over the pixels of an image, in nats; `(batch,)` |
# | $R_k$ | `rates[k]` | the **rate** of unit $k$: its KL divergence from the prior, averaged over the images, in nats |
# | $v_f$ | `factors[:, f]` | a **factor** of variation, such as a sprite's size: integers from 0 up |

# %% [markdown]
# ## 1 · What β does
#
# Higgins et al. (2017) change one number in the VAE's loss:
#
# $$L_\beta=\mathbb E_x\Big[-\mathbb E_q\log p(x\mid z)+\beta\ \mathrm{KL}\big(q(z\mid x)\,\|\,\mathcal N(0,I)\big)\Big],\qquad
# \mathrm{KL}=\tfrac12\sum_k\left(\mu_k^2+\sigma_k^2-1-\log\sigma_k^2\right).$$
#
# With $\beta=1$ this is −ELBO. With a larger β a nat of code is dearer, and the model has to get by with fewer of them.
#
# ### Exercise 1 · `beta-vae-loss` · 1 point · ●○○ · 4 minutes
#
# The reconstruction loss of each image is given. Mind which number β multiplies, what is summed, and what is averaged.

# %% exercise="beta-vae-loss"
def beta_vae_loss(nll: Tensor, mean: Tensor, log_var: Tensor, beta: float) -> Tensor:
    """Loss of a β-VAE, in nats. Higgins et al., *β-VAE*, 2017, equation 4.

    Args:
        nll: reconstruction loss of each image, shape (batch,).
        mean: of q(z | x), shape (batch, latent).
        log_var: of q(z | x), shape (batch, latent).
        beta: weight of the KL divergence, which is summed over the latents.

    Returns:
        The mean over the batch, a 0-d tensor.
    """
    ### BEGIN SOLUTION
    kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1)
    return (nll + beta * kl).mean()
    ### END SOLUTION

# %% test="beta-vae-loss" points=1
check("beta-vae-loss", beta_vae_loss)

# %% [markdown]
# ### The linear case
#
# What will such a model do with its nats? Let encoder and decoder be linear and the decoder's pixels Gaussian with a fixed variance
# $\sigma^2$. Then everything can be worked out, one principal direction of the data at a time.
#
# Along direction $j$ the data have the variance $\lambda_j$, an eigenvalue of their covariance matrix. A unit that spends $R$ nats
# on it leaves, at best, the variance $\lambda_j e^{-2R}$ unexplained: a nat divides it by $e^2$. So a unit's share of the loss is, up to
# a constant,
#
# $$\frac{\lambda_j\,e^{-2R}}{2\sigma^2}+\beta R .$$
#
# ### Exercise 2 · `linear-rates` · 3 points · ●●○ · 12 minutes
#
# At which $R\ge0$ is it smallest? There are `latent` units: the first takes the largest eigenvalue, the next the second largest,
# and so on. There may be fewer eigenvalues than units, or more.
#
# <details><summary>Hint: the minimum</summary>
# Set the derivative to zero: λ e^(−2R) = βσ². Solve for R, with the natural logarithm.
# </details>
#
# <details><summary>Hint: small eigenvalues</summary>
# If λ is at most βσ², the derivative is positive from R = 0 on: the first nat already costs more than it saves. What is the best rate then? (A KL divergence is never
# negative.)
# </details>
#
# <details><summary>Hint: more units than eigenvalues</summary>
# Start from <code>eigenvalues.new_zeros(latent)</code> and fill in what there is.
# </details>

# %% exercise="linear-rates"
def linear_rates(eigenvalues: Tensor, latent: int, variance: float, beta: float) -> Tensor:
    """Rate of each unit of a linear β-VAE at its optimum, in nats.

    Lucas et al., *Don't Blame the ELBO!*, 2019, section 4, for β = 1.

    Args:
        eigenvalues: of the data's covariance matrix, positive, in any order, shape (dimensions,).
        latent: number of units, fewer or more than there are eigenvalues.
        variance: σ² of the Gaussian decoder, the same for all dimensions.
        beta: weight of the rate.

    Returns:
        The rates, largest first, shape (latent,); 0 where a unit is switched off.
    """
    ### BEGIN SOLUTION
    largest = eigenvalues.sort(descending=True).values[:latent]
    rates = eigenvalues.new_zeros(latent)
    rates[: len(largest)] = (0.5 * torch.log(largest / (beta * variance))).clamp(min=0)
    return rates
    ### END SOLUTION

# %% test="linear-rates" points=3
check("linear-rates", linear_rates)

# %% [markdown]
# ### Experiment · Switching off
#
# Does training find that optimum? We take 12 points whose covariance has exactly the eigenvalues 6, 3, 1½, ¾, 0.4 and 0.2, along random
# directions, and four units. For a linear decoder the expectation over the noise is known, so nothing here is random but the initial
# weights. β grows in steps from 1 to 100, and at each step your loss is minimised.
#
# **Before you run it, guess:** do all units fade together, or one after the other?

# %%
linear_sizes = profile(smoke=dict(betas=5), cpu=dict(betas=21), full=dict(betas=41))
eigenvalues = torch.tensor([6, 3, 1.5, 0.75, 0.4, 0.2], dtype=torch.float64)
VARIANCE = 0.1


def exact_points(eigenvalues: Tensor) -> Tensor:
    """2·D points in D dimensions, with mean 0 and exactly this covariance up to a rotation."""
    axes = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues)).double()).Q
    points = (axes * (len(eigenvalues) * eigenvalues).sqrt()).T
    return torch.cat([points, -points])


def unit_rates(mean: Tensor, log_var: Tensor) -> Tensor:
    """Rate of each unit, shape (latent,): your loss of one unit alone, without reconstruction and with β = 1."""
    nothing = mean.new_zeros(len(mean))
    each = zip(mean.split(1, dim=1), log_var.split(1, dim=1))
    return torch.stack([beta_vae_loss(nothing, *unit, 1.0) for unit in each])


class LinearVAE(nn.Module):
    """Linear encoder and decoder without biases; the posterior variances do not depend on x."""

    def __init__(self, dimensions: int, latent: int):
        super().__init__()
        self.encoder = nn.Linear(dimensions, latent, bias=False)
        self.decoder = nn.Linear(latent, dimensions, bias=False)
        self.log_var = nn.Parameter(torch.zeros(latent))
        self.double()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """nll (exact, up to a constant), mean and log_var."""
        mean = self.encoder(x)
        error = (x - self.decoder(mean)).square().sum(1)
        noise = (self.decoder.weight.square() * self.log_var.exp()).sum()
        return (error + noise) / (2 * VARIANCE), mean, self.log_var.expand_as(mean)


def minimise(model: LinearVAE, x: Tensor, beta: float) -> None:
    """Full-batch training until nothing changes any more."""
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=1000,
        history_size=20,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = beta_vae_loss(*model(x), beta)
        loss.backward()
        return loss

    optimizer.step(closure)

# %% tags=["experiment"]
with experiment("switching-off"):
    seed_all(1)
    x = exact_points(eigenvalues)
    model = LinearVAE(dimensions=6, latent=4)
    betas = torch.logspace(0, 2, linear_sizes.betas).tolist()
    trained = []
    for beta in betas:
        minimise(model, x, beta)
        with torch.no_grad():
            trained.append(unit_rates(*model(x)[1:]).sort(descending=True).values)
    trained = torch.stack(trained)
    predicted = torch.stack([linear_rates(eigenvalues, 4, VARIANCE, beta) for beta in betas])
    gap = (trained - predicted).abs().max()
    print(f"largest difference between trained and predicted: {gap:.0e} nats")
    fine = torch.logspace(0, 2, 400).tolist()
    lines = torch.stack([linear_rates(eigenvalues, 4, VARIANCE, beta) for beta in fine])
    figure = show.curves(
        {f"unit {unit + 1}": line.tolist() for unit, line in enumerate(lines.T)},
        x=fine,
        xlabel="β",
        ylabel="rate in nats",
        title="A linear β-VAE: predicted rates (lines) and trained ones (dots)",
        alt="Rates of four units over β from 1 to 100, predicted as lines and trained as dots on them. Each falls "
        "in a straight line over log β and is zero from λ/σ² on: at 7.5, 15, 30 and 60.",
    )
    axes = figure.axes[0]
    axes.set_xscale("log")
    axes.plot(betas, trained, "o", color="black", markersize=3)
    display(figure)

# %% [markdown]
# One after the other: a unit goes out when β reaches $\lambda_j/\sigma^2$, here at 60, 30, 15 and 7.5. Until then a unit always pays
# for exactly as many nats as leave the variance $\beta\sigma^2$ of its direction: the same for all of them, like a water level.
#
# Three things to remember.
#
# - **A unit that is off may be the right answer**, and now you can say from which β on.
# - **β is the decoder's variance in disguise.** Only the product $\beta\sigma^2$ matters for the rates. A "β-VAE" with $\beta=10$ may do the
#   same as a plain VAE that takes its pixels to be ten times as noisy.
# - **Units take principal directions**, not mixtures of them, because the encoder's Gaussian has a diagonal covariance. But
#   where two eigenvalues are *equal*, every rotation of the two directions is as good as any other.

# %% [markdown]
# ## 2 · Sprites
#
# To see whether units find factors, we need images whose factors are known: white sprites, in the manner of *dSprites*. There are
# three shapes, and each appears in several sizes, orientations and places, in all combinations.

# %%
sprite_sizes = profile(
    smoke=dict(
        lattice=dict(scale=2, orientation=2, x=4, y=4),
        size=32,
        latent=4,
        betas=(1, 10),
        shown=(1, 10),
        seeds=2,
        epochs=1,
        lr=4e-3,
        convolutions=False,
        pairs=10,
    ),
    cpu=dict(
        lattice=dict(scale=3, orientation=8, x=8, y=8),
        size=32,
        latent=8,
        betas=(1, 4, 10, 20),
        shown=(1, 10),
        seeds=3,
        epochs=15,
        lr=4e-3,
        convolutions=False,
        pairs=100,
    ),
    full=dict(  # network, latents, batch and learning rate as published; fewer steps
        lattice=dict(scale=6, orientation=20, x=16, y=16),
        size=64,
        latent=10,
        betas=(1, 4, 8, 16),
        shown=(1, 8),
        seeds=3,
        epochs=30,
        lr=5e-4,
        convolutions=True,
        pairs=500,
    ),
)
lattice = Lattice(**sprite_sizes.lattice)
sprites = lattice.grid(size=sprite_sizes.size)
PLAIN, SHOWN = sprite_sizes.shown
print(f"{len(lattice):,} sprites:", " × ".join(f"{n} {name}" for name, n in lattice.sizes.items()))
base = torch.tensor([2, 1, *(n // 3 for n in list(lattice.sizes.values())[2:])])
for name in lattice.sizes:
    strip = lattice.render(lattice.varying(name, base), sprite_sizes.size)
    display(show.grid(strip, columns=8, title=f"One factor varies: {name}"))

# %% [markdown]
# ### The models
#
# The networks are given: on a laptop two small MLPs (with layer normalisation, which treats every image by itself), on a GPU the convolutions
# of Burgess et al. (2018). `vae(x)` gives what your loss wants.

# %%
class VAE(nn.Module):
    """An encoder to (mean, log_var) side by side, and a decoder of Bernoulli logits."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        return mean, log_var

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """nll (batch,) with one code an image, mean and log_var (batch, latent)."""
        mean, log_var = self.encode(x)
        z = mean + (log_var / 2).exp() * torch.randn_like(mean)
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none")
        return nll.flatten(1).sum(1), mean, log_var

    def draw(self, z: Tensor) -> Tensor:
        """Images in [0, 1] from codes."""
        return self.decoder(z).sigmoid()


def mlp(inputs: int, outputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    sizes = (inputs, *hidden)
    layers = [
        part
        for size in zip(sizes, hidden)
        for part in (nn.Linear(*size), nn.LayerNorm(size[1]), nn.SiLU())
    ]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


def mlp_vae(side: int, latent: int, hidden: tuple[int, ...]) -> VAE:
    return VAE(
        nn.Sequential(nn.Flatten(), mlp(side * side, 2 * latent, hidden)),
        nn.Sequential(mlp(latent, side * side, hidden[::-1]), nn.Unflatten(1, (1, side, side))),
    )


def with_relus(*layers: nn.Module) -> nn.Sequential:
    """The layers, with a ReLU after each but the last."""
    return nn.Sequential(*(part for layer in layers[:-1] for part in (layer, nn.ReLU())), layers[-1])


def convolutional_vae(latent: int) -> VAE:
    """For images of 64 × 64. Burgess et al., *Understanding disentangling in β-VAE*, 2018, appendix A.1."""
    down = [nn.Conv2d(channels, 32, 4, 2, 1) for channels in (1, 32, 32, 32)]
    up = [nn.ConvTranspose2d(32, channels, 4, 2, 1) for channels in (32, 32, 32, 1)]
    flat, back = nn.Flatten(), nn.Unflatten(1, (32, 4, 4))
    return VAE(
        with_relus(*down, flat, nn.Linear(512, 256), nn.Linear(256, 256), nn.Linear(256, 2 * latent)),
        with_relus(nn.Linear(latent, 256), nn.Linear(256, 256), nn.Linear(256, 512), back, *up),
    )


def sprite_vae() -> VAE:
    if sprite_sizes.convolutions:
        return convolutional_vae(sprite_sizes.latent)
    return mlp_vae(sprite_sizes.size, sprite_sizes.latent, (256, 256))

# %% [markdown]
# One training says little, since another seed gives another model. So we train several for each β, side by side: all see the same
# batches, each has its own loss.

# %%
def train(name, vaes, losses, images, *, epochs, lr, batch_size=64):
    """Train VAEs side by side and leave them in eval mode; returns the history.

    Each has its own loss: a function (nll, mean, log_var) -> 0-d tensor.
    """
    networks = nn.ModuleList(vaes).to(device).train()
    loader = batches(images, batch_size, drop_last=True, device=device)
    optimizer = torch.optim.Adam(networks.parameters(), lr, fused=True)
    steps = epochs * len(loader)
    slower = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(20 * (step + 1) / steps, 1, 3 - 3 * step / steps)
    )  # up within a twentieth of the training, down in its last third

    def step(x: Tensor) -> dict[str, Tensor]:
        total = sum(loss(*vae(x)) for vae, loss in zip(vaes, losses))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        slower.step()
        return {"mean loss": total / len(vaes)}

    history = fit(step, loader, epochs=epochs, log=f"runs/05-beta-vae/{name}")
    networks.eval()
    return history


@torch.no_grad()
def describe(vae, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """nll, mean and log_var of many images, on the CPU."""
    parts = [[part.cpu() for part in vae(x.to(device))] for x in images.split(1000)]
    nll, mean, log_var = (torch.cat(part) for part in zip(*parts))
    return nll, mean, log_var

# %% tags=["experiment"]
with experiment("sprite-training"):
    models = {}
    for seed in range(sprite_sizes.seeds):
        for beta in sprite_sizes.betas:
            seed_all(seed)
            models[beta, seed] = sprite_vae()
    losses = [partial(beta_vae_loss, beta=float(beta)) for beta, _ in models]
    sizes = dict(epochs=sprite_sizes.epochs, lr=sprite_sizes.lr)
    history = train("sprites", list(models.values()), losses, sprites, **sizes)
    display(history.plot("mean loss", title=f"{len(models)} β-VAEs side by side"))
    sprite_vaes = models

# %% [markdown]
# ### Experiment · What β costs
#
# The same test for all: every sprite of the lattice is encoded and decoded. (The models have seen all of them; the question here is not whether they
# generalise.)

# %% tags=["experiment"]
with experiment("what-beta-costs"):
    seed_all(10)
    found = {key: describe(vae, sprites.images) for key, vae in sprite_vaes.items()}
    found_rates = {key: unit_rates(mean, log_var) for key, (_, mean, log_var) in found.items()}
    for beta in sprite_sizes.betas:
        runs = [key for key in found if key[0] == beta]
        nats = [found[key][0].mean() for key in runs]
        active = [int((found_rates[key] > 0.1).sum()) for key in runs]
        total = [found_rates[key].sum() for key in runs]
        print(
            f"β = {beta:>2}: reconstruction {min(nats):5.1f} to {max(nats):5.1f} nats · "
            f"rate {min(total):4.1f} to {max(total):4.1f} nats · units with over 0.1 nats: {active}"
        )
    display(
        show.bars(
            {f"β = {beta}": found_rates[beta, 0] for beta in sprite_sizes.betas},
            xlabel="unit",
            ylabel="rate in nats",
            title="Units switch off as β grows (first seed)",
            sort=True,
        )
    )
    some = sprites[torch.randperm(len(sprites))[:12]].images
    with torch.no_grad():
        rows = [
            vae.draw(vae.encode(some.to(device))[0]).cpu()
            for (_, seed), vae in sprite_vaes.items()
            if seed == 0
        ]
    labels = ["original", *(f"β = {beta}" for beta in sprite_sizes.betas)]
    display(show.reconstructions(some, *rows, labels=labels, title="What each β keeps"))

# %% [markdown]
# As in the linear case, units go out, those that matter least to the pixels first. What is lost can be seen: shape and most of the orientation are gone from the
# beginning (so short a training does not get to them), then size becomes vague, while place is kept to the end. Moving a sprite changes many pixels; turning it changes few. **A factor is only worth
# the pixels that it moves.**

# %% [markdown]
# ## 3 · Traversals
#
# What does a unit mean? Take a code, change one of its entries, decode. A row of such images is a **latent traversal**, and the picture by which
# most papers make their case.
#
# ### Exercise 3 · `traverse` · 2 points · ●○○ · 8 minutes
#
# Entry `dim` of the code is *set to* each of the values, whatever it was before; all others stay as they are. All codes can be decoded in one batch.
#
# <details><summary>Hint</summary>
# <code>z.repeat(n, 1)</code> makes n copies that you may write into. (<code>expand</code> does not copy: all rows would be one and the same.)
# </details>

# %% exercise="traverse"
def traverse(decoder, z: Tensor, dim: int, values: Tensor) -> Tensor:
    """What a decoder makes of a code, one entry of which is set to each of some values.

    Args:
        decoder: codes (n, latent) -> outputs (n, …).
        z: the code to start from, shape (latent,); it stays as it is.
        dim: which entry, from 0.
        values: what it is set to, shape (n,).

    Returns:
        The outputs in the order of the values, shape (n, …).
    """
    ### BEGIN SOLUTION
    codes = z.repeat(len(values), 1)
    codes[:, dim] = values
    return decoder(codes)
    ### END SOLUTION

# %% test="traverse" points=2
check("traverse", traverse)

# %% [markdown]
# ### Exercise 4 · `traversal-grid` · 2 points · ●○○ · 6 minutes
#
# One row for each of several units, every row from the *same* code.
#
# <details><summary>Hint: rows that accumulate</summary>
# If the second row looks like the first one's last image, changed: something has written into z.
# </details>

# %% exercise="traversal-grid"
def traversal_grid(decoder, z: Tensor, dims: list[int], values: Tensor) -> Tensor:
    """Traversals of several units from one code.

    Args:
        decoder: codes (n, latent) -> outputs (n, …).
        z: the code that every row starts from, shape (latent,).
        dims: the units, one a row, in this order.
        values: what they are set to, shape (n,).

    Returns:
        Shape (len(dims), n, …).
    """
    ### BEGIN SOLUTION
    return torch.stack([traverse(decoder, z, dim, values) for dim in dims])
    ### END SOLUTION

# %% test="traversal-grid" points=2
check("traversal-grid", traversal_grid)

# %% [markdown]
# **Honest traversals.** It is easy to make a model look better than it is: start from the one image that works, go out to ±10, show four rows of ten.
# So here are the rules of this lab.
#
# - The code that the row starts from, the *base*, is shown in the middle, framed.
# - Steps are equally wide, from −3 to 3, where nearly all codes of the prior lie. What falls to pieces in there is shown.
# - Rows are ordered by rate; the rate and the base's own value stand beside them. Units that are off are shown as well.
# - The base is not chosen: the first of a random draw, and more than one.

# %%
VALUES = torch.linspace(-3, 3, 10)


@torch.no_grad()
def traversals(vae, z: Tensor, dims: list[int], values: Tensor = VALUES) -> Tensor:
    """Your grid on the CPU, with the base as a further column in the middle."""
    z, middle = z.to(device), len(values) // 2
    rows = traversal_grid(vae.draw, z, dims, values.to(device))
    base = vae.draw(z[None]).expand(len(dims), 1, *rows.shape[2:])
    return torch.cat([rows[:, :middle], base, rows[:, middle:]], 1).cpu()


def by_rate(rates: Tensor, most: int) -> list[int]:
    """Units, those of the highest rate first."""
    return rates.argsort(descending=True)[:most].tolist()


def show_traversals(vae, z: Tensor, rates: Tensor, title: str):
    """Rows by rate, labelled with it; the base framed in the middle."""
    dims = by_rate(rates, most=len(rates))
    steps = [f"{value:.1f}".replace("-", "−") for value in VALUES.tolist()]
    return show.traversal(
        traversals(vae, z, dims),
        row_labels=[
            f"unit {dim + 1}: {rates[dim]:.2f} nats (base {round(float(z[dim]), 1) + 0:g})".replace("-", "−")
            for dim in dims
        ],
        column_labels=[*steps[:5], "base", *steps[5:]],
        base=5,
        xlabel="the unit is set to −3 to 3 prior deviations",
        title=title,
    )

# %% tags=["experiment"]
with experiment("traversals-by-beta"):
    chosen = seed_all(11)
    first = int(torch.randint(len(sprites), (), generator=chosen))
    for beta in (PLAIN, SHOWN):
        code = found[beta, 0][1][first]
        title = f"β = {beta}: from the code of a sprite"
        display(show_traversals(sprite_vaes[beta, 0], code, found_rates[beta, 0], title))

# %% [markdown]
# At β = 1 most rows change several things at once, place and size together, and towards the ends some tear the sprite apart: the prior allows codes there, but no image has one. With
# the larger β fewer units are left, and what is left is easier to name: most of all the place. The rows at the bottom have a rate near zero, and nothing
# happens in them: the decoder has learned to ignore a unit that is mere noise.
#
# The same unit can mean different things from different bases. So start elsewhere too: from $z=0$, the middle of the prior, and from random codes.

# %% tags=["experiment"]
with experiment("other-bases"):
    chosen = seed_all(12)
    latent = sprite_sizes.latent
    bases = {
        "from z = 0": torch.zeros(latent),
        "from a random code": torch.randn(latent, generator=chosen),
        "from another random code": torch.randn(latent, generator=chosen),
    }
    for name, z in bases.items():
        display(
            show_traversals(
                sprite_vaes[SHOWN, 0], z, found_rates[SHOWN, 0], f"β = {SHOWN}: {name}"
            )
        )

# %% [markdown]
# **In motion.** Now the units go up from −3 to 3 and down again, all side by side: first those of one model, then the strongest three of each β, one after
# the other. Eyes are good at seeing whether two things move at once.

# %%
UP = torch.linspace(-3, 3, 16)
UP_AND_DOWN = torch.cat([UP, UP.flip(0)[1:-1]])


@torch.no_grad()
def film(vae, z: Tensor, dims: list[int]) -> Tensor:
    """Frames of all these units in motion, each from the same base, shape (frames, units, 1, height, width)."""
    rows = traversal_grid(vae.draw, z.to(device), dims, UP_AND_DOWN.to(device))
    return rows.transpose(0, 1).cpu()


def settings(prefix: str = "") -> list[str]:
    return [f"{prefix}set to {value:+.1f}".replace("-", "−") for value in UP_AND_DOWN.tolist()]

# %% tags=["experiment", "cover"]
with experiment("units-in-motion"):
    rates = found_rates[SHOWN, 0]
    dims = by_rate(rates, most=5)
    names = [f"unit {dim + 1}: {rates[dim]:.2f} nats" for dim in dims]
    display(
        show.gif(
            film(sprite_vaes[SHOWN, 0], torch.zeros(sprite_sizes.latent), dims),
            titles=names,
            frame_titles=settings(),
            columns=5,
            seconds=4,
            alt=f"Animation of a β-VAE with β = {SHOWN}: its {len(dims)} units of the highest rate go from −3 to 3 and back, "
            f"side by side, from z = 0. {', '.join(names)}.",
        )
    )

# %% tags=["experiment"]
with experiment("betas-in-motion"):
    z = torch.zeros(sprite_sizes.latent)
    parts, words = [], []
    for rank in range(3):
        films = [
            film(sprite_vaes[beta, 0], z, by_rate(found_rates[beta, 0], most=3)[rank : rank + 1])
            for beta in sprite_sizes.betas
        ]
        parts.append(torch.cat(films, 1))
        words += settings(f"{('strongest', 'second', 'third')[rank]} unit ")
    names = [f"β = {beta}" for beta in sprite_sizes.betas]
    display(
        show.gif(
            torch.cat(parts),
            titles=names,
            frame_titles=words,
            columns=len(names),
            seconds=10,
            alt=f"Animation of {len(names)} models side by side, {', '.join(names)}: the strongest unit of each goes from −3 "
            "to 3 and back, then the second, then the third, always from z = 0.",
        )
    )

# %% [markdown]
# **By hand.** Where widgets run (JupyterLab, Colab), the next cell has a slider for each unit below the picture. Try to bring the sprite into a corner, and then make it larger.

# %% tags=["experiment"]
with experiment("by-hand"):
    display(
        show.slider(
            sprite_vaes[SHOWN, 0].draw,
            torch.zeros(sprite_sizes.latent),
            rates=found_rates[SHOWN, 0],
            title=f"β = {SHOWN}: one slider a unit",
        )
    )

# %% [markdown]
# ## 4 · Counting what a unit knows
#
# Looking is not measuring. Where the factors are known, we can ask how much unit $k$ tells about factor $f$, in nats: the **mutual
# information**
#
# $$I(c_k;v_f)=\sum_{c,v}p(c,v)\log\frac{p(c,v)}{p(c)\,p(v)},$$
#
# where $c_k$ is the unit's value, sorted into bins, and all probabilities are shares of a table of counts. It is 0 where they are independent and at most the
# factor's entropy $H(v_f)=-\sum_vp(v)\log p(v)$.
#
# A factor should be known to *one* unit. Chen et al. (2018) therefore take, for each factor, the unit that knows most about it and the one that knows
# second most, and define the **mutual information gap**
#
# $$\mathrm{MIG}=\frac1F\sum_{f=1}^F\frac{I(c_{k_1};v_f)-I(c_{k_2};v_f)}{H(v_f)},\qquad k_1, k_2:\text{ the two largest for factor } f.$$
#
# ### Exercise 5 · `mutual-information-gap` · 4 points · ●●○ · 20 minutes
#
# Codes and factors are integers. Count, divide, take logarithms; mind that $0\log0=0$.
#
# <details><summary>Hint: a table of counts</summary>
# <code>torch.unique(column, return_inverse=True)</code> renumbers values from 0 without gaps. For two such columns with n and m values,
# <code>torch.bincount(a * m + b, minlength=n * m).view(n, m)</code> counts the pairs.
# </details>
#
# <details><summary>Hint: which axis?</summary>
# Of the table of all I(c_k; v_f), the gap is taken over the <em>codes</em>, for each factor. Over the factors it would measure whether a unit knows one factor
# only: another question, which MIG does not ask. A widely used replication once reported 0.0008 because a tensor was transposed.
# </details>
#
# <details><summary>Hint: 0 · log 0</summary>
# <code>torch.xlogy(p, q)</code> is p·log q, and 0 where p is 0. The mutual information is H(c) + H(v) − H(c, v).
# </details>

# %% exercise="mutual-information-gap"
def mutual_information_gap(codes: Tensor, factors: Tensor) -> float:
    """Mutual information gap, from 0 to 1. Chen et al., *Isolating Sources of Disentanglement in VAEs*, 2018, equation 6.

    Args:
        codes: binned value of each unit for N images, integers, shape (N, latent) with at least two units.
        factors: the factors of the same images, integers, shape (N, factors); each takes at least two values.

    Returns:
        The mean over the factors of the gap between the two best units, in shares of the factor's entropy.
    """
    ### BEGIN SOLUTION
    def entropy(column: Tensor) -> Tensor:
        shares = torch.unique(column, return_counts=True)[1].double() / len(column)
        return -torch.xlogy(shares, shares).sum()

    def information(code: Tensor, factor: Tensor) -> Tensor:
        pairs = (code - code.min()) * (factor.max() + 1 - factor.min()) + factor - factor.min()
        return entropy(code) + entropy(factor) - entropy(pairs)

    gaps = []
    for factor in factors.T:
        known = torch.stack([information(code, factor) for code in codes.T])
        best, second = known.topk(2).values
        gaps.append((best - second) / entropy(factor))
    return torch.stack(gaps).mean().item()
    ### END SOLUTION

# %% test="mutual-information-gap" points=4
check("mutual-information-gap", mutual_information_gap)

# %% [markdown]
# A code is a sample of $q(z\mid x)$, put into one of 20 bins that are equally probable under the prior. (Not the mean: the mean of a unit that is
# off is practically 0, but its last digits may still depend on the image. A measure that sorts *them* into bins would find that the unit knows everything.)
#
# The picture asks your function about one unit and one factor at a time, beside a unit that knows nothing; the gap is then $I(c_k;v_f)/H(v_f)$.

# %%
BINS = 20


def binned(z: Tensor) -> Tensor:
    """Codes as numbers of bins that are equally probable under the prior."""
    return (BINS * torch.special.ndtr(z)).long().clamp(max=BINS - 1)


def sampled(mean: Tensor, log_var: Tensor) -> Tensor:
    return mean + (log_var / 2).exp() * torch.randn_like(mean)


def shares_known(codes: Tensor, factors: Tensor) -> Tensor:
    """What each unit knows about each factor, in shares of the factor's entropy, shape (latent, factors)."""
    nothing = torch.zeros_like(codes[:, :1])
    return torch.tensor(
        [
            [
                mutual_information_gap(torch.cat([code, nothing], 1), factor)
                for factor in factors.split(1, dim=1)
            ]
            for code in codes.split(1, dim=1)
        ]
    )

# %% tags=["experiment"]
with experiment("who-knows-what"):
    seed_all(13)
    found_gaps = {
        key: mutual_information_gap(binned(sampled(mean, log_var)), sprites.factors)
        for key, (_, mean, log_var) in found.items()
    }
    for beta in (PLAIN, SHOWN):
        _, mean, log_var = found[beta, 0]
        shares = shares_known(binned(sampled(mean, log_var)), sprites.factors)
        dims = by_rate(found_rates[beta, 0], most=4)
        display(
            show.bars(
                {f"unit {dim + 1}": shares[dim] for dim in dims},
                ticks=lattice.factor_names,
                xlabel="factor",
                ylabel="I(c; v) / H(v)",
                title=f"β = {beta}: what the four strongest units know, MIG {found_gaps[beta, 0]:.2f}",
            )
        )

# %% [markdown]
# MIG is the average distance from the highest bar to the second highest. Shape and orientation are hardly known to any unit, in any of the models: they
# move few pixels, and a square even looks the same after a quarter turn. So no model of these sprites comes near to 1.
#
# ## 5 · A second measure
#
# Higgins et al. (2017) ask another question. Take pairs of images that agree in *one* factor and are independent in all others. In a disentangled code one unit
# then hardly differs within a pair: the one that knows the factor. So, over $L$ pairs, compute the mean difference of each unit,
#
# $$z_{\text{diff}}=\frac1L\sum_{l=1}^L\big|\mu(x_{l,1})-\mu(x_{l,2})\big| ,$$
#
# and let a *linear* classifier guess from it which factor was held fixed. Its accuracy is the **β-VAE metric**.
#
# ### Exercise 6 · `beta-vae-metric` · 4 points · ●●○ · 12 minutes
#
# Write $z_{\text{diff}}$. You are given two independent draws of *factors*, and make them agree in one; `encode` draws the images of such rows and gives the means $\mu$ of their codes.
#
# <details><summary>Hint: who gets whose value?</summary>
# Let the second half of each pair take the first half's value, in column <code>factor</code>; the other way round is as good. Do it on a copy: the draws are not yours.
# </details>

# %% exercise="beta-vae-metric"
def metric_feature(encode, factor: int, v1: Tensor, v2: Tensor) -> Tensor:
    """Mean difference of each unit over pairs that agree in one factor. Higgins et al., 2017, section 3.

    Args:
        encode: factors (L, factors) -> codes of their images (L, latent).
        factor: the column in which both halves of a pair are to agree.
        v1: factors of the first halves, integers, shape (L, factors).
        v2: factors of the second halves, drawn independently, same shape.

    Returns:
        The mean over the pairs of |z₁ − z₂|, shape (latent,).
    """
    ### BEGIN SOLUTION
    v2 = v2.clone()
    v2[:, factor] = v1[:, factor]
    return (encode(v1) - encode(v2)).abs().mean(0)
    ### END SOLUTION

# %% test="beta-vae-metric" points=4
check("beta-vae-metric", metric_feature)

# %%
PAIRS = 64  # L


def look_up(means: Tensor, v: Tensor) -> Tensor:
    """Means of the codes of sprites with factors v, from those of the whole lattice."""
    return means[lattice.cells_of(v)]


def metric_accuracy(encode, lattice: Lattice, each: int, generator: torch.Generator) -> float:
    """The β-VAE metric: how often a linear classifier finds the fixed factor, on new pairs.

    `each` features of every factor train the classifier, and as many test it.
    """
    from sklearn.linear_model import LogisticRegression

    wanted = torch.arange(len(lattice.sizes)).repeat(2 * each)
    features = torch.stack(
        [
            metric_feature(
                encode,
                factor,
                lattice.sample(PAIRS, generator),
                lattice.sample(PAIRS, generator),
            )
            for factor in wanted.tolist()
        ]
    ).numpy()
    half = len(wanted) // 2
    classifier = LogisticRegression(C=1000, max_iter=5000).fit(features[:half], wanted[:half])
    return classifier.score(features[half:], wanted[half:])

# %% [markdown]
# ### Experiment · What β buys
#
# Both measures, for all models, against what the reconstruction costs. **Guess:** is more β always better?

# %% tags=["experiment"]
with experiment("what-beta-buys"):
    generator = seed_all(14)
    found_scores = {
        key: metric_accuracy(partial(look_up, mean), lattice, sprite_sizes.pairs, generator)
        for key, (_, mean, _) in found.items()
    }
    groups = {beta: [key for key in found if key[0] == beta] for beta in sprite_sizes.betas}
    series = {
        name: [[scores[key] for key in keys] for keys in groups.values()]
        for name, scores in {"β-VAE metric": found_scores, "MIG": found_gaps}.items()
    }
    nats = [[found[key][0].mean().item() for key in keys] for keys in groups.values()]
    for row, beta in enumerate(groups):
        spans = [
            f"{name} {sum(runs[row]) / len(runs[row]):.2f} ({min(runs[row]):.2f} to {max(runs[row]):.2f})"
            for name, runs in series.items()
        ]
        print(f"β = {beta:>2}:", " · ".join(spans))
    display(
        show.ranges(
            series,
            x=nats,
            names=[f"β = {beta}" for beta in groups],
            xlabel="reconstruction loss in nats",
            ylabel="score",
            title=f"What β buys, and what it costs: {sprite_sizes.seeds} seeds each",
            limits=(0, 1),
        )
    )

# %% [markdown]
# Read it with care.
#
# - **The price is sure.** Every step of β costs ten nats and more, far beyond what seeds differ by.
# - **What it buys is less sure.** The mean MIG of the two larger β is about twice that of the two smaller ones, but single seeds differ by as much as the means do: three seeds are
#   too few to tell 10 from 20, or 1 from 4. The metric even falls at β = 4 before it rises.
# - **A model that knows less has less to mix up.** At β = 20 two units are left, one for each direction of the place; size and orientation are not disentangled but gone. MIG counts a
#   factor that nobody knows as 0; the metric hardly minds.
#
# Is more β always better, then? Neither the pictures nor the numbers say so. Longer training, more seeds and another data set may each change the
# picture. Locatello et al. (2019) trained twelve thousand models, and found that the seed often mattered more than the method.

# %% [markdown]
# ## 6 · Fooling the measures
#
# A measure earns trust where we know what it should say. So leave out the model, and write down codes for the factors themselves. Four
# factors – scale, orientation, x and y – with eight values each, brought to mean 0 and variance 1, and then
#
# - left as they are: perfectly disentangled;
# - with two of the four rotated by 45°, so that two units carry $(x+y)/\sqrt2$ and $(x-y)/\sqrt2$;
# - all rotated at random: entangled as thoroughly as a rotation can;
# - and all packed into *one* unit, the number of the combination, from 0 to 4,095.
#
# **Guess first:** what will MIG and the metric say to each?

# %%
known = Lattice(shape=1, scale=8, orientation=8, x=8, y=8)
KNOWN_FACTORS = known.factors


def standardised(v: Tensor) -> Tensor:
    """Factors with mean 0 and variance 1, each of the eight values equally probable."""
    return (v - 3.5) / math.sqrt(5.25)


def random_rotation(seed: int) -> Tensor:
    return torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(seed))).Q


def twenty_bins(z: Tensor) -> Tensor:
    low, high = z.min(0).values, z.max(0).values
    return (20 * (z - low) / (high - low)).long().clamp(max=19)


half = math.sqrt(0.5)
two_rotated = torch.block_diag(torch.eye(2), torch.tensor([[half, half], [-half, half]]))
encoders = {
    "as they are": standardised,
    "two at 45°": lambda v: standardised(v) @ two_rotated,
    "all at random": lambda v: standardised(v) @ random_rotation(0),
    "all in one": lambda v: F.pad(known.cells_of(v)[:, None] / 2048, (0, 3)),
}

# %% tags=["experiment"]
with experiment("fooling-the-measures"):
    generator = seed_all(15)
    scores = {"MIG": [], "β-VAE metric": []}
    for name, encode in encoders.items():
        z = encode(KNOWN_FACTORS)
        codes = known.cells_of(KNOWN_FACTORS)[:, None] if name == "all in one" else twenty_bins(z)
        codes = F.pad(codes, (0, 4 - codes.shape[1]))
        scores["MIG"].append(mutual_information_gap(codes, KNOWN_FACTORS))
        each = 2 * sprite_sizes.pairs
        scores["β-VAE metric"].append(metric_accuracy(encode, known, each, generator))
        print(
            f"{name:>13}: MIG {scores['MIG'][-1]:.2f} · "
            f"β-VAE metric {scores['β-VAE metric'][-1]:.2f}"
        )
    display(
        show.bars(
            scores,
            ticks=list(encoders),
            xlabel="the true factors",
            ylabel="score",
            title="What the measures say to codes that we know",
        )
    )
    verdicts = scores

# %% [markdown]
# **MIG is 1 for one unit that carries everything.** It asks whether a factor is known to one unit only; that the unit also knows all others is no
# fault. And what a rotation of two factors costs depends on how many there are: of four, a half is left, of three a third.
#
# **The metric is 0.99 or so for a random rotation.** Fix one factor, and each of the four rotated units differs a little less, in a pattern that is
# the factor's own; for 64 pairs the pattern is clear enough for a linear classifier. It fails where factors leave the *same* pattern: with
# 45° it has to guess between two of the four, and with all in one there is a single number to guess from: it sees how much the pairs differ, which tells the coarse factors from the fine ones and no more.
#
# (The codes of the first three are sorted into 20 bins; the number in one unit keeps all its 4,096 values. In 20 bins its MIG would be low: how a measure *bins* is part of the measure.)
#
# And β is not just a number. β = 10 in one paper is not β = 10 in another: an image with more pixels has more to reconstruct, a code with more units more to pay. Higgins et al.
# therefore quote $\beta K/D$, with $K$ latents and $D$ pixels. On a laptop our β = 10 is $10\cdot8/1024\approx0.08$; their β = 4 for dSprites, with 10 latents and 64 × 64 pixels, is 0.01.
# And where the decoder's variance is not 1, β is something else again (section 1).

# %% [markdown]
# ### Question 1 · `rotated-code` · 3 points · 12 minutes
#
# Let $z\sim\mathcal N(0,I)$ be the true factors of some data, and $g$ the decoder that makes $p(x\mid z)$ of them. Take any rotation $R$, and another model with
# $z'=Rz$ and the decoder $g'(z')=g(R^\top z')$.
#
# 1. Show that nobody who sees only images can tell the two models apart, not even with infinitely many of them.
# 2. So why can no measure that knows only $x$ and the model tell a rotated code from the true one? What do MIG and the β-VAE metric know besides?
# 3. Yet a β-VAE does settle on some rotation, and does not choose it at random. What decides?

# %% [markdown] think="rotated-code" points=3
# Your answer to *rotated-code*, in three parts.
#
# ### BEGIN MARK SCHEME
# 1. A rotated standard normal is standard normal: z' ~ N(0, I). So p'(x) = ∫ N(z'; 0, I) p(x | g(Rᵀz')) dz' = ∫ N(z; 0, I) p(x | g(z)) dz = p(x), by substituting z = Rᵀz'
# (|det R| = 1). The two models give the same distribution of images, hence the same likelihood for any data, and even the same posterior up to the rotation. (1 point for
# "prior invariant, decoder undoes the rotation, hence the same p(x)".)
#
# 2. A measure of images and model alone has the same input for both: if it called one of them true, it would have to call every rotation of it true. (The codes look alike, too: both
# are standard normal a priori.) MIG and the metric are given the true factors – as labels, or as pairs that agree in a factor. They are supervised, and can choose a model but not train one without labels.
# (1 point for "same input, same verdict" and for naming that the factors are what they know besides.)
#
# 3. The encoder's family: a diagonal covariance is the true posterior's (or near it) only in some rotations, so the ELBO of the *approximate* model differs although p(x) does not. A large β makes noise
# so expensive to place wrongly that axes align with directions of different importance (principal directions, section 1); where directions matter equally (x and y, equal eigenvalues)
# the tie remains or is broken by the non-Gaussian shape of the factors, the architecture, the initial weights. (1 point for the diagonal posterior / factorised encoder, or for "an inductive bias" with a concrete example.
# "β > 1" alone is not enough.)
# ### END MARK SCHEME

# %% [markdown]
# ## 7 · Digits
#
# For digits nobody knows the factors. What is left are looks, and statistics that need no labels. The best known is **principal component analysis**
# (PCA): look at a cloud of points from where it is widest.
#
# ### Exercise 7 · `pca` · 4 points · ●●○ · 15 minutes
#
# For $N$ points in $D$ dimensions, find the $k$ orthonormal directions along which the variance is largest, the variances, and each point's coordinates along
# the directions. A direction may point either way. $N$ may be smaller than $D$, and the points may lie far from 0.
#
# <details><summary>Hint: singular values</summary>
# With the mean subtracted, x = U S Vᵀ (<code>torch.linalg.svd(…, full_matrices=False)</code>). The rows of Vᵀ are the directions, largest singular value first.
# </details>
#
# <details><summary>Hint: variances</summary>
# The singular values squared are sums of squares over all points. A variance divides by N − 1.
# </details>

# %% exercise="pca"
def pca(x: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first k principal components.

    Args:
        x: points, shape (N, dimensions).
        k: how many components, at most min(N − 1, dimensions).

    Returns:
        (scores, directions, variances): coordinates of the centred points along the directions, (N, k); the directions,
        orthonormal, one a row, (k, dimensions); the variances along them, with divisor N − 1, largest first, (k,).
    """
    ### BEGIN SOLUTION
    centred = x - x.mean(0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:k].T, directions[:k], singular[:k].square() / (len(x) - 1)
    ### END SOLUTION

# %% test="pca" points=4
check("pca", pca)

# %% [markdown]
# ### Experiment · Sixteen latents, β = 1 and β = 10
#
# Two models of MNIST, the same but for β.

# %%
digit_sizes = profile(
    smoke=dict(images=256, epochs=1, hidden=(32,), codes=100, perplexity=5),
    cpu=dict(images=6000, epochs=20, hidden=(512, 256), codes=1000, perplexity=30),
    full=dict(images=60000, epochs=60, hidden=(512, 256), codes=5000, perplexity=30),
)
digits, test_digits = load("mnist", count=digit_sizes.images)
DIGIT_BETAS = (1, 10)

# %% tags=["experiment"]
with experiment("digit-training"):
    models = {}
    for beta in DIGIT_BETAS:
        seed_all(20)
        models[beta] = mlp_vae(28, 16, digit_sizes.hidden)
    losses = [partial(beta_vae_loss, beta=float(beta)) for beta in models]
    train("digits", list(models.values()), losses, digits, epochs=digit_sizes.epochs, lr=2e-3)
    digit_vaes = models
    seed_all(21)
    digit_found = {beta: describe(vae, test_digits.images) for beta, vae in models.items()}
    digit_rates = {beta: unit_rates(*terms[1:]) for beta, terms in digit_found.items()}
    for beta, (nll, _, _) in digit_found.items():
        rates = digit_rates[beta]
        print(
            f"β = {beta:>2}: test images: reconstruction {nll.mean():.1f} nats · rate {rates.sum():.1f} nats · "
            f"−ELBO {nll.mean() + rates.sum():.1f} · units with over 0.1 nats: {int((rates > 0.1).sum())} of 16"
        )
    with torch.no_grad():
        some = test_digits.images[:14]
        rows = [vae.draw(digit_found[beta][1][:14].to(device)).cpu() for beta, vae in models.items()]
    labels = ["original", *(f"β = {beta}" for beta in models)]
    display(show.reconstructions(some, *rows, labels=labels, title="Test images"))

# %% [markdown]
# At β = 10 slant and weight are kept, hooks and gaps go, and with them now and then the class: a 4 may come back as a 9, a 5 as an 8. (−ELBO is what the *first* model was trained for. The second was trained for something else, and pays.)
#
# **From where the cloud is widest.** Your PCA of the means of test images, and beside it t-SNE (van der Maaten & Hinton, 2008), which gives up distances and
# keeps neighbours. Both see codes only; the classes are colour that we add.

# %% tags=["experiment"]
with experiment("digit-codes"):
    from sklearn.manifold import TSNE

    for beta, (_, mean, _) in digit_found.items():
        codes, classes = mean[: digit_sizes.codes], test_digits.labels[: digit_sizes.codes]
        scores, _, variances = pca(codes, 2)
        share = variances.sum() / codes.var(0).sum()
        title = f"β = {beta}: PCA of the codes, {share:.0%} of their variance"
        axes = dict(xlabel="first component", ylabel="second component")
        display(show.scatter(scores, classes, test_digits.classes, title=title, **axes))
        places = TSNE(perplexity=digit_sizes.perplexity, random_state=0).fit_transform(codes.numpy())
        axes = dict(xlabel="t-SNE, first coordinate", ylabel="second coordinate")
        title = f"β = {beta}: t-SNE of the same codes"
        display(show.scatter(torch.from_numpy(places), classes, test_digits.classes, title=title, **axes))

# %% [markdown]
# At β = 1 no two directions say much: the model spreads what it knows evenly over its units, as the prior wants it. At β = 10 fewer units are in use, and two directions hold over half of the variance. t-SNE finds classes in
# both, though nobody told the models of any; what is neighbour to what (4 and 9, 3 and 5 and 8) is what a reconstruction at β = 10 confuses.
#
# ### Experiment · Which digit is it now?
#
# Traversals again, from the code of one test image, along the three units of the highest rate. The ready classifier says what it takes each image for, and how sure
# it is.

# %%
def seen(images: Tensor) -> list[str]:
    """What the ready classifier takes each image for, and how sure it is."""
    confidence, digit = load_classifier("mnist")(images.to(device)).softmax(1).max(1)
    return [f"{d} ({c:.0%})" for d, c in zip(digit.tolist(), confidence.tolist())]

# %% tags=["experiment"]
with experiment("digits-by-unit"):
    for beta, vae in digit_vaes.items():
        rates = digit_rates[beta]
        dims = by_rate(rates, most=3)
        rows = traversals(vae, digit_found[beta][1][2], dims)
        title = (
            f"β = {beta}: units of "
            + ", ".join(f"{rates[dim]:.2f}" for dim in dims)
            + " nats, set to −3 to 3; the base in the middle"
        )
        display(show.grid(rows.flatten(0, 1), columns=11, titles=seen(rows.flatten(0, 1)), title=title))

# %% [markdown]
# At β = 1 the base is recognised for sure, a row changes the class somewhere on its way, and the classifier's mind changes within a step or two. At β = 10 the rows move through more digits in softer steps, and the
# base itself is no longer a clear case. None of these units *is* the class: a class is no direction.
#
# ### Question 2 · `what-would-you-show` · 2 points · 6 minutes
#
# You have trained a β-VAE on portraits, and believe that one of its units means *age* and nothing else. A sceptic says: “You have found one pretty row of
# pictures.” There are no labels; you may show pictures, compute, and buy a hundred labels.

# %% [markdown] think="what-would-you-show" points=2
# Your answer to *what-would-you-show*: what would you show or compute, and what outcome would make you give up the claim?
#
# ### BEGIN MARK SCHEME
# Show (1 point for at least two that fit): traversals of that unit from many bases that were drawn at random and not chosen, with the base, equal steps within ±3 and the rate on it; *all* units,
# not the best; several seeds (is there such a unit in each?) and β = 1 beside it; what else changes along the row (hair, smile, background), for example by difference images or
# by classifiers of other attributes.
#
# Compute, and say what would refute it (1 point): with the labels, mutual information or correlation of age with *each* unit (one high, the others low) and of the unit with other labelled attributes (low), with
# a held-out set or an interval, since a hundred are few; compare with a random rotation of the code and with untrained or PCA baselines. The claim fails if other units know as much of age, if the unit
# changes other attributes as well, or if the effect goes away from other bases or with other seeds. A correlation of age with another attribute in the data (glasses) must not be mistaken for it.
# ### END MARK SCHEME

# %% [markdown]
# ## 8 · Challenge: two scores instead of one
#
# MIG asks whether a factor is in one unit; it does not ask whether a unit holds one factor. Eastwood & Williams (2018) ask both. Predict each factor from the code (with
# any regressor that says which inputs it used), and write into a table $R_{kf}\ge0$ how important unit $k$ was for factor $f$.
#
# - **Disentanglement** of unit $k$: is its importance spent on *one* factor? With the row's shares $p_{kf}=R_{kf}/\sum_{f'}R_{kf'}$,
#   $D_k=1+\sum_fp_{kf}\log_Fp_{kf}$: 1 if all on one factor, 0 if even. The score is the mean over the units, each weighted by its share of all importance.
# - **Completeness** of factor $f$: is it in *one* unit? The same for the columns, with the logarithm to base $K$, averaged over the factors.
#
# ### Exercise 8 · `dci` · 2 bonus points · ●●● · 12 minutes
#
# All columns of the table have the same sum, so no factor needs a weight. A unit that nobody uses has an empty row, and no weight.
#
# <details><summary>Hint: which base?</summary>
# Shares over F factors have an entropy of at most log F, shares over K units one of at most log K. The base makes the largest value 1.
# </details>

# %% exercise="dci"
def dci(importance: Tensor) -> tuple[float, float]:
    """Disentanglement and completeness. Eastwood & Williams, *A Framework for the Quantitative Evaluation…*, 2018, section 2.

    Args:
        importance: of each unit for each factor, ≥ 0, shape (latent, factors), at least two of each.

    Returns:
        (disentanglement, completeness), each from 0 to 1.
    """
    ### BEGIN SOLUTION
    def concentration(shares: Tensor) -> Tensor:
        """1 − entropy of each row to the base of its length."""
        return 1 + torch.xlogy(shares, shares).sum(1) / math.log(shares.shape[1])

    def score(table: Tensor) -> float:
        totals = table.sum(1, keepdim=True)
        shares = table / totals.clamp(min=torch.finfo(table.dtype).tiny)
        return (concentration(shares) * totals.flatten() / totals.sum()).sum().item()

    return score(importance), score(importance.T)
    ### END SOLUTION

# %% test="dci" points=2
check("dci", dci)

# %% [markdown]
# The known codes of section 6 once more. The importances are those of decision trees.

# %%
def importances(codes: Tensor, factors: Tensor) -> Tensor:
    """How much a decision tree uses each unit to predict each factor, shape (latent, factors); columns sum to 1."""
    from sklearn.tree import DecisionTreeClassifier

    columns = []
    for factor in factors.T:
        tree = DecisionTreeClassifier(min_samples_leaf=5, random_state=0).fit(codes.numpy(), factor.numpy())
        columns.append(torch.from_numpy(tree.feature_importances_))
    return torch.stack(columns, 1)

# %% tags=["experiment"]
with experiment("four-verdicts"):
    scores = {"disentanglement": [], "completeness": []}
    for encode in encoders.values():
        verdict = dci(importances(encode(KNOWN_FACTORS), KNOWN_FACTORS))
        for name, score in zip(scores, verdict):
            scores[name].append(score)
    display(
        show.bars(
            verdicts | scores,
            ticks=list(encoders),
            xlabel="the true factors",
            ylabel="score",
            title="Four measures, four codes",
        )
    )
    for beta in sprite_sizes.betas:
        _, mean, _ = found[beta, 0]
        disentanglement, completeness = dci(importances(mean, sprites.factors))
        print(
            f"sprites, β = {beta:>2}: disentanglement {disentanglement:.2f} · completeness {completeness:.2f}"
        )

# %% [markdown]
# Disentanglement is 0 where one unit carries everything, which MIG calls perfect; and all but the β-VAE metric see through the random rotation. No single number will do: report at least two that ask different questions.
#
# ## 9 · Challenge: capacity by the spoonful
#
# β has two effects at once: units line up, and information is lost. Burgess et al. (2018) want the first without the second. They let the rate follow a target $C$, the **capacity**,
#
# $$L=\mathbb E[-\log p(x\mid z)]+\gamma\,\big|\mathrm{KL}-C\big| ,$$
#
# and raise $C$ from 0 while the model trains. There is never room for more than the next most useful factor.
#
# ### Exercise 9 · `capacity-loss` · 1 bonus point · ●●● · 5 minutes
#
# The target is one for the *average* image. (Some images need more nats than others.)

# %% exercise="capacity-loss"
def capacity_loss(nll: Tensor, kl: Tensor, capacity: float, gamma: float) -> Tensor:
    """Reconstruction, and a penalty for every nat off the capacity. Burgess et al., 2018, equation 8.

    Args:
        nll: reconstruction loss of each image, in nats, shape (batch,).
        kl: KL divergence of each image, summed over the latents, in nats, shape (batch,).
        capacity: C, what the mean KL divergence should be, in nats.
        gamma: γ, the price of a nat off.

    Returns:
        A 0-d tensor.
    """
    ### BEGIN SOLUTION
    return nll.mean() + gamma * (kl.mean() - capacity).abs()
    ### END SOLUTION

# %% test="capacity-loss" points=1
check("capacity-loss", capacity_loss)

# %%
capacity_sizes = profile(
    smoke=dict(epochs=1, most=4.0, gamma=100.0, every=1),
    cpu=dict(epochs=20, most=8.0, gamma=100.0, every=10),
    full=dict(epochs=100, most=25.0, gamma=1000.0, every=200),
)


def kl_of_each(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL divergence of each image by unit, shape (batch, latent)."""
    posterior = torch.distributions.Normal(mean, (log_var / 2).exp())
    return torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))

# %% tags=["experiment"]
with experiment("by-the-spoonful"):
    seed_all(30)
    model = sprite_vae()
    steps = count()
    whole = 0.8 * capacity_sizes.epochs * (len(sprites) // 64)
    diary = []

    def spoonful(nll: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
        step = next(steps)
        capacity = capacity_sizes.most * min(1, step / whole)
        kl = kl_of_each(mean, log_var)
        if step % capacity_sizes.every == 0:
            diary.append((capacity, kl.detach().mean(0)))
        return capacity_loss(nll, kl.sum(1), capacity, capacity_sizes.gamma)

    train("capacity", [model], [spoonful], sprites, epochs=capacity_sizes.epochs, lr=sprite_sizes.lr)
    capacities = [capacity for capacity, _ in diary]
    rates = torch.stack([rates for _, rates in diary]).cpu()
    display(
        show.curves(
            {f"unit {unit + 1}": rates[:, unit].tolist() for unit in by_rate(rates[-1], most=5)},
            x=capacities,
            xlabel="capacity C in nats",
            ylabel="rate in nats",
            title="As the capacity grows, units switch on",
        )
    )
    nll, mean, log_var = describe(model, sprites.images)
    print(f"reconstruction {nll.mean():.1f} nats · rate {unit_rates(mean, log_var).sum():.1f} nats")
    title = f"Capacity raised to {capacity_sizes.most:g} nats: from z = 0"
    z = torch.zeros(sprite_sizes.latent)
    display(show_traversals(model, z, unit_rates(mean, log_var), title))

# %% [markdown]
# Two units share the growing budget evenly: one for each direction of the place, which the pixels reward most. Eight nats are not enough for a third to pay.
#
# ## Summary
#
# - β weights the rate. In the linear case unit $j$ pays $\tfrac12\log\frac{\lambda_j}{\beta\sigma^2}$ nats, and nothing once β reaches
#   $\lambda_j/\sigma^2$. β and the decoder's variance do the same thing.
# - Units that are off carry no rate and change no picture. Which go first is decided by the pixels, not by what a person finds important.
# - A traversal is evidence if its base is not chosen, its steps are equal, its range is the prior's, and all units are shown with their rate.
# - MIG asks whether a factor is in one unit, disentanglement whether a unit holds one factor, the β-VAE metric whether factors leave different patterns. Each can be fooled, and all need to be told the factors.
# - No measure and no amount of images tells a rotated code from the true one. What decides is the diagonal posterior, the seed, and luck.
#
# ## Going further
#
# - Kim & Mnih, *Disentangling by Factorising* (FactorVAE), 2018; Chen et al., *Isolating Sources of Disentanglement in VAEs* (β-TCVAE), 2018: make the units independent without making a nat dearer.
# - Burgess et al., *Understanding disentangling in β-VAE*, 2018: the annealed capacity of section 9.
# - Locatello et al., *Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations*, 2019: the impossibility of question 1 as a theorem, and the seeds of 12,000 models.
# - Hyvärinen & Pajunen, *Nonlinear Independent Component Analysis: Existence and Uniqueness Results*, 1999; Khemakhem et al., *Variational Autoencoders and Nonlinear ICA*, 2020: what must be known besides the
#   images for the factors to be identifiable.
# - Rolínek, Zietlow & Martius, *Variational Autoencoders Pursue PCA Directions (by Accident)*, 2019: why the diagonal posterior lines units up.
