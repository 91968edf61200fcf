# %% [markdown]
# # Lab 01 · Generative adversarial networks
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({{colab}}/course/01-gan/01-gan.ipynb)
#
# Two networks play against each other. One draws, the other tries to tell the drawings from real pictures, and nobody ever
# writes down what a good picture is. You will build both, watch the game go well, and watch it fail. It takes about two hours.
#
# **After this lab you can**
#
# - say what the best possible discriminator is, and what its generator then minimises;
# - write both losses so that they stay right for very sure discriminators, and say why the obvious one of the generator fails early;
# - train a GAN on points of the plane and on images, with convolutions and without;
# - see mode collapse when it happens, which the losses do not show.
#
# **It builds on** PyTorch basics (modules, autograd, a training loop) and on probability densities.
#
# **How the exercises work.** Replace `raise NotImplementedError` by your code, run the cell, then run the check below
# it. A check prints one line: `✓`, or `✗` with a sentence that tells you what is wrong. Experiments come right after the
# exercises that they need. If you are stuck, open a hint or read on: an experiment whose exercise is missing shows you
# the picture that it would have drawn. ●○○ is core, ●●○ takes more thought.

# %%
if "google.colab" in str(get_ipython()):
    get_ipython().run_line_magic("pip", "install -q git+{{repository}}@{{tag}}")
import lvmlib; lvmlib.setup()  # fails on Colab? Runtime → Restart session, then run this again

# %%
import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lvmlib import batches, check, experiment, fit, load, profile, seed_all, show
from lvmlib.measure import frechet_distance, mode_coverage, nearest, recognised
from lvmlib.mixtures import GaussianMixture, ring
from lvmlib.networks import load_generator, mlp_discriminator, mlp_generator

device = profile.device

# %% [markdown]
# ## Conventions
#
# Observations, codes and logits are written so in all labs; players and fakes belong to this one and the next.
#
# | In the text | In the code | Meaning |
# |---|---|---|
# | $x$ | `x` | an observation; images are `(batch, channel, height, width)`, float32 in [0, 1] |
# | $z$ | `z` | a latent code, drawn from $\mathcal N(0, I)$; `(batch, latent)` |
# | $p,\ q$ | `log_p`, `log_q` | the density of the data, and that of what the generator draws |
# | $G(z)$ | `generator(z)` | an observation that was never observed: a *fake* |
# | $l(x)$ | `discriminator(x)` | a **logit**, `(batch,)`; positive for “real”, negative for “fake” |
# | $D(x)=\operatorname{sigm}(l(x))$ | `logits.sigmoid()` | the probability that the discriminator gives to “real”; $\operatorname{sigm}(l)=1/(1+e^{-l})$ |
#
# Logarithms are natural, so losses are in nats. A discriminator returns logits, and `sigmoid` is taken only to draw pictures.

# %% [markdown]
# ## 1 · A game, and its best move
#
# A coin decides whether you are shown an observation $x$ from the data, with density $p$, or one from a generator, with
# density $q$. You say how probable it is that $x$ is real. Goodfellow et al. (2014) score you by the expected logarithm of what you gave to the
# truth, once for each side of the coin:
#
# $$V(D,G)=\mathbb E_{x\sim p}\left[\log D(x)\right]+\mathbb E_{x\sim q}\left[\log\big(1-D(x)\big)\right].$$
#
# You, the discriminator, want it high. The generator, which decides what $q$ is, wants it low.
#
# What should you answer at one particular $x$? There the score is $p(x)\log D+q(x)\log(1-D)$. Set its derivative with respect
# to $D$ to zero, and get what Bayes' rule says as well:
#
# $$D^*(x)=\frac{p(x)}{p(x)+q(x)}.$$
#
# ### Exercise 1 · `optimal-logit` · 1 point · ●○○ · 6 minutes
#
# A network will have to say the same as a *logit*. Which logit has $\operatorname{sigm}(l^*)=D^*$? Densities come as logarithms,
# because $p(x)$ itself is often too small for a float32.
#
# <details><summary>Hint</summary>
# Divide the numerator and the denominator of D* by p. Compare with 1/(1 + exp(−l)).
# </details>

# %% exercise="optimal-logit"
def optimal_logit(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Logit of the optimal discriminator. Goodfellow et al., *Generative Adversarial Nets*, 2014, proposition 1.

    Args:
        log_p: log density of the data at n points, shape (n,).
        log_q: log density of the generator at the same points, shape (n,).

    Returns:
        One logit per point, shape (n,).
    """
    ### BEGIN SOLUTION
    return log_p - log_q
    ### END SOLUTION

# %% test="optimal-logit" points=1
check("optimal-logit", optimal_logit)

# %% [markdown]
# ### Exercise 2 · `gan-value` · 2 points · ●●○ · 12 minutes
#
# What is the score of the best discriminator? Put $D^*$ into $V$. For $K$ discrete outcomes the expectations are sums:
#
# $$V(D^*,G)=\sum_k p_k\log\frac{p_k}{p_k+q_k}+\sum_k q_k\log\frac{q_k}{p_k+q_k}=2\,\mathrm{JSD}(p,q)-\log 4 .$$
#
# JSD is the *Jensen–Shannon divergence*, the mean divergence of $p$ and of $q$ from their average:
# $\mathrm{JSD}=\tfrac12\mathrm{KL}\big(p\,\|\,\tfrac{p+q}2\big)+\tfrac12\mathrm{KL}\big(q\,\|\,\tfrac{p+q}2\big)$. It lies between 0
# and $\log 2$. So a generator that plays against the best discriminator minimises a divergence from the data.
#
# Write the sum as code. An outcome that never happens contributes nothing: $0\log 0=0$, whatever your computer says.
#
# <details><summary>Hint: zeros</summary>
# <code>torch.special.xlogy(p, y)</code> is p·log y, and 0 where p is 0. What is y where p and q are <em>both</em> 0?
# </details>
#
# <details><summary>Hint: something to test with</summary>
# If p = q the value is −log 4 ≈ −1.386. If no outcome is possible under both, it is 0: the discriminator is always right.
# </details>

# %% exercise="gan-value"
def gan_value(p: Tensor, q: Tensor) -> Tensor:
    """Value of the game against the optimal discriminator, in nats. Goodfellow et al., 2014, theorem 1.

    Args:
        p: probabilities of the data over K outcomes, shape (K,); zeros are allowed.
        q: probabilities of the generator over the same outcomes, shape (K,); zeros are allowed.

    Returns:
        A 0-d tensor.
    """
    ### BEGIN SOLUTION
    both = p + q
    possible = both > 0
    p, q, both = p[possible], q[possible], both[possible]
    return (torch.special.xlogy(p, p / both) + torch.special.xlogy(q, q / both)).sum()
    ### END SOLUTION

# %% test="gan-value" points=2
check("gan-value", gan_value)

# %% [markdown]
# How does the value tell two distributions apart? Let the data be a bell curve of width 1, and let the generator draw the same
# bell curve, shifted. **Before you run it, guess:** is a generator that misses by 10 told that it is worse than one that misses
# by 6?

# %% tags=["experiment"]
with experiment("value-of-a-shift"):
    grid = torch.linspace(-8, 18, 2000, dtype=torch.float64)
    shifts = torch.linspace(0, 10, 60).tolist()

    def bell(centre: float) -> Tensor:
        return torch.softmax(-0.5 * (grid - centre) ** 2, 0)

    values = {"V(D*, G)": [gan_value(bell(0), bell(shift)).item() for shift in shifts]}
    display(
        show.curves(
            values,
            x=shifts,
            xlabel="shift of the generator, in widths of the bell",
            ylabel="nats",
            title="From −log 4 = −1.386, all alike, to 0, nothing in common",
        )
    )

# %% [markdown]
# From a shift of about 6 on, the curve is as good as flat. The best discriminator is always right there, however far away the generator
# is, and a flat curve has no gradient. Keep this picture in mind; lab 02 begins with it.

# %% [markdown]
# ## 2 · Two losses that stay right
#
# Nobody knows $p$ and $q$ for images, so $D^*$ is out of reach. But the score needs nothing except *samples*: a batch of
# real ones and a batch of fakes. A network $l(x)$ is trained to maximise it, that is, to minimise
#
# $$L_D=-\tfrac1B\sum_{b}\log\operatorname{sigm}\big(l(x_b)\big)-\tfrac1{B'}\sum_{b}\log\Big(1-\operatorname{sigm}\big(l(G(z_b))\big)\Big).$$
#
# Beware of coding it as it stands. A discriminator that is sure of itself has $l=25$, and in float32
# $\operatorname{sigm}(25)$ is exactly 1. Then $\log(1-1)$ is $-\infty$, or $-100$ where a library clamps it for you without a word,
# and the gradient is gone. With $\operatorname{softplus}(l)=\log(1+e^l)$ both terms are safe:
#
# $$-\log\operatorname{sigm}(l)=\operatorname{softplus}(-l),\qquad -\log\big(1-\operatorname{sigm}(l)\big)=\operatorname{softplus}(l).$$
#
# ### Exercise 3 · `discriminator-loss` · 2 points · ●○○ · 6 minutes
#
# The two batches may differ in size, and each term is the mean over its own.
#
# <details><summary>Hint</summary>
# <code>F.softplus(logits)</code> is stable for every logit. You need it twice.
# </details>

# %% exercise="discriminator-loss"
def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Loss of the discriminator in nats, −V. Goodfellow et al., 2014, equation 1.

    Args:
        real_logits: of observations from the data, shape (batch,).
        fake_logits: of what the generator drew, shape (other_batch,).

    Returns:
        A 0-d tensor: the mean over the real ones plus the mean over the fakes.
    """
    ### BEGIN SOLUTION
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
    ### END SOLUTION

# %% test="discriminator-loss" points=2
check("discriminator-loss", discriminator_loss)

# %% [markdown]
# A discriminator that knows nothing has $l=0$ everywhere and pays $2\log2=\log4\approx1.386$ nats.
#
# ### The generator's side
#
# The generator wants the discriminator to fail. There are two ways to say so. Take the term of the game that depends on it,
#
# $$\text{saturating:}\quad L_G=\tfrac1B\sum_b\log\Big(1-\operatorname{sigm}\big(l(G(z_b))\big)\Big)=-\tfrac1B\sum_b\operatorname{softplus}(l_b),$$
#
# or ask that fakes be *called real*, as Goodfellow et al. recommend:
#
# $$\text{non-saturating:}\quad L_G=-\tfrac1B\sum_b\log\operatorname{sigm}\big(l(G(z_b))\big)=\tfrac1B\sum_b\operatorname{softplus}(-l_b).$$
#
# Both are lowest when the discriminator is fooled. They differ in *where they push*.
#
# ### Exercise 4 · `generator-loss` · 1 point · ●○○ · 5 minutes
#
# Write both, and let `saturating` choose.

# %% exercise="generator-loss"
def generator_loss(fake_logits: Tensor, saturating: bool) -> Tensor:
    """Loss of the generator in nats. Goodfellow et al., 2014, section 3.

    Args:
        fake_logits: the discriminator's logits of what the generator drew, shape (batch,).
        saturating: whether to take the term of the game itself, mean log(1 − D), or else −mean log D.

    Returns:
        A 0-d tensor.
    """
    ### BEGIN SOLUTION
    if saturating:
        return -F.softplus(fake_logits).mean()
    return F.softplus(-fake_logits).mean()
    ### END SOLUTION

# %% test="generator-loss" points=1
check("generator-loss", generator_loss)

# %% [markdown]
# The slope of a loss at a logit is how hard the generator is pushed there. Early in training its fakes are easily recognised:
# the logits are on the far left.

# %% tags=["experiment"]
with experiment("where-they-push"):
    logits = torch.linspace(-10, 10, 101)
    slopes = {}
    for name, saturating in (("saturating", True), ("non-saturating", False)):
        probe = logits.clone().requires_grad_()
        loss = len(probe) * generator_loss(probe, saturating)
        slopes[name] = (-torch.autograd.grad(loss, probe)[0]).tolist()
    display(
        show.curves(
            slopes,
            x=logits.tolist(),
            xlabel="logit of a fake: how real it looks to the discriminator",
            ylabel="push towards “real”",
            title="Which fakes are pushed",
        )
    )

# %% [markdown]
# At $l=-10$ the pushes are 0.00005 and 0.99995. The saturating loss forgets exactly the fakes that need help most.

# %% [markdown]
# ## 3 · The players move
#
# Training is a sequence of turns. In the discriminator's turn it sees real observations and fakes, and improves; in the generator's
# turn it draws fakes, asks the discriminator, and improves by the gradient that comes *through* the discriminator.
#
# Two networks and one graph: it is easy to move the wrong one. Keep to these rules.
#
# - Each optimizer holds one network's parameters, so `optimizer.step()` moves only that one.
# - In the discriminator's turn the fakes are data. Cut them off from the generator (`detach`, or draw them under
#   `torch.no_grad()`); otherwise every turn spends time on gradients that nobody wants, and leaves them in the generator.
# - In the generator's turn the gradient has to pass the discriminator, so nothing is cut off. It leaves gradients behind
#   in the discriminator's parameters: so always clear the gradients *before* `backward()`.
#
# ### Exercise 5 · `discriminator-step` · 3 points · ●●○ · 12 minutes
#
# One turn of the discriminator, with your `discriminator_loss`. Give it the real ones and the fakes as two batches, one after the other: where
# a network normalises over the batch, mixing the two would be another game.
#
# <details><summary>Hint: in what order?</summary>
# Both terms of the loss belong to one turn, so there is one <code>backward()</code> and one <code>optimizer.step()</code>. What has to be
# cleared before, and what is to be returned?
# </details>

# %% exercise="discriminator-step"
def discriminator_step(discriminator, generator, optimizer, x: Tensor, z: Tensor) -> Tensor:
    """One turn of the discriminator; only its parameters and its optimizer's state change.

    Args:
        discriminator: network from observations (batch, …) to logits (batch,).
        generator: network from codes to observations.
        optimizer: of the discriminator's parameters; their gradients may hold anything when the turn begins.
        x: observations from the data, shape (batch, …).
        z: codes for the fakes, shape (other_batch, latent).

    Returns:
        The loss before the turn, a 0-d tensor.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        fake = generator(z)
    loss = discriminator_loss(discriminator(x), discriminator(fake))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
    ### END SOLUTION

# %% test="discriminator-step" points=3
check("discriminator-step", discriminator_step)

# %% [markdown]
# ### Exercise 6 · `generator-step` · 3 points · ●●○ · 10 minutes
#
# One turn of the generator, with the non-saturating `generator_loss`.
#
# <details><summary>Hint: my generator never moves</summary>
# Is there a <code>detach()</code> or a <code>no_grad()</code> between the code and the loss?
# </details>

# %% exercise="generator-step"
def generator_step(discriminator, generator, optimizer, z: Tensor) -> Tensor:
    """One turn of the generator with the non-saturating loss; the discriminator's parameters stay as they are.

    Args:
        discriminator: network from observations (batch, …) to logits (batch,).
        generator: network from codes to observations.
        optimizer: of the generator's parameters; their gradients may hold anything when the turn begins.
        z: codes, shape (batch, latent).

    Returns:
        The loss before the turn, a 0-d tensor.
    """
    ### BEGIN SOLUTION
    loss = generator_loss(discriminator(generator(z)), saturating=False)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
    ### END SOLUTION

# %% test="generator-step" points=3
check("generator-step", generator_step)

# %% [markdown]
# Now the game itself, for all that follows. The turns are yours; `fit` calls `step` on batch after batch, shows a bar, and keeps
# the mean of each loss over an epoch. With `decay` the learning rates fall linearly to 0 in the second half.

# %%
def train_gan(
    name,
    real,
    discriminator,
    generator,
    *,
    latent,
    epochs,
    discriminator_lr,
    generator_lr,
    betas=(0.5, 0.999),
    batch_size=64,
    generator_turns=1,
    decay=True,
    after_turns=lambda: None,
    validate=None,
    on_epoch=None,
):
    """Let two networks play; returns the history.

    Curves and pictures go to runs/01-gan/NAME for TensorBoard.
    """
    loader = batches(real, batch_size, drop_last=True, device=device)
    steps = epochs * len(loader)

    def optimizer_of(network, lr):
        return torch.optim.Adam(network.to(device).train().parameters(), lr, betas, fused=True)

    discriminator_optimizer = optimizer_of(discriminator, discriminator_lr)
    generator_optimizer = optimizer_of(generator, generator_lr)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, 2 - 2 * step / steps))
        for optimizer in (discriminator_optimizer, generator_optimizer)
        if decay
    ]

    def step(x: Tensor) -> dict[str, Tensor]:
        z = torch.randn(len(x), latent, device=device)
        d_loss = discriminator_step(discriminator, generator, discriminator_optimizer, x, z)
        for _ in range(generator_turns):
            z = torch.randn(len(x), latent, device=device)
            g_loss = generator_step(discriminator, generator, generator_optimizer, z)
        for schedule in schedules:
            schedule.step()
        after_turns()
        return {"discriminator": d_loss, "generator": g_loss}

    log = f"runs/01-gan/{name}"
    return fit(step, loader, epochs=epochs, validate=validate, on_epoch=on_epoch, log=log)

# %% [markdown]
# ### Experiment · One dimension
#
# The data are two bell curves on a line. The generator begins with a narrow heap in the middle.
#
# First one discriminator takes 300 turns against the untrained generator, which does not move. The optimal answer is known here, by
# your `optimal_logit`: $p$ exactly, and $q$ from many samples (a *kernel density estimate*: a small bell around each). Then a
# fresh discriminator and the generator play.

# %%
two_modes = GaussianMixture(torch.tensor([[-2.0], [2.0]], device=device), 0.5)


def mlp(inputs: int, outputs: int, width: int, activation) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), activation(),
        nn.Linear(width, width), activation(),
        nn.Linear(width, outputs),
    )  # fmt: skip


def scalar_discriminator(inputs: int, width: int, activation) -> nn.Sequential:
    """One logit an observation: (batch, inputs) → (batch,)."""
    return nn.Sequential(mlp(inputs, 1, width, activation), nn.Flatten(0))


@torch.no_grad()
def against_the_optimum(generator, discriminator, title: str):
    """Both histograms, the discriminator's answer and the optimal one."""
    x = torch.linspace(-4, 4, 201, device=device)[:, None]
    data, fakes = two_modes.sample(4000), generator(torch.randn(4000, 1, device=device))
    log_q = GaussianMixture(fakes, 0.1).log_prob(x)
    answers = {
        "D(x)": discriminator(x).sigmoid(),
        "optimal D*(x)": optimal_logit(two_modes.log_prob(x), log_q).sigmoid(),
    }
    return show.densities(
        {"data": data.flatten(), "fakes": fakes.flatten()},
        answers,
        x.flatten(),
        limits=(-4, 4),
        title=title,
    )

# %% tags=["experiment"]
with experiment("one-dimension"):
    line_cfg = profile(
        smoke=dict(points=2560, turns=20, epochs=1),
        cpu=dict(points=25600, turns=300, epochs=7),
        full=dict(points=25600, turns=300, epochs=15),
    )
    seed_all(0)
    generator = mlp(1, 1, 64, nn.Tanh).to(device)
    first, discriminator = (scalar_discriminator(1, 64, nn.Tanh).to(device) for _ in range(2))
    optimizer = torch.optim.Adam(first.parameters(), 5e-3)
    for _ in range(line_cfg.turns):
        x, z = two_modes.sample(256), torch.randn(256, 1, device=device)
        discriminator_step(first, generator, optimizer, x, z)
    start = against_the_optimum(generator, first, "The start: fakes in the middle…")
    points = two_modes.sample(line_cfg.points)
    train_gan(
        "one-dimension",
        points,
        discriminator,
        generator,
        latent=1,
        epochs=line_cfg.epochs,
        discriminator_lr=2e-3,
        generator_lr=1e-3,
        batch_size=256,
    )
    display(start)
    display(against_the_optimum(generator, discriminator, "…and the end: fakes where the data are"))

# %% [markdown]
# At the start the network comes close to $D^*$. At the end it says about ½ wherever there are data, and “fake” in the gap, where only a few stray
# fakes lie. The optimal answer still wiggles around ½: the fakes are not bell curves, only heaps of about the right place and width.
#
# ### Experiment · A generator that is hopeless
#
# Now let the fakes start far away, around $x=8$, and keep them there while the discriminator learns. How large is the
# gradient that the generator would get, from each of the two losses?

# %% tags=["experiment"]
with experiment("hopeless-generator"):
    seed_all(1)
    generator = mlp(1, 1, 64, nn.Tanh).to(device)
    nn.init.constant_(generator[-1].bias, 8.0)
    discriminator = scalar_discriminator(1, 64, nn.Tanh).to(device)
    optimizer = torch.optim.Adam(discriminator.parameters(), 2e-3)
    turns, norms = [], {"saturating": [], "non-saturating": []}
    for turn in range(251):
        x, z = two_modes.sample(256), torch.randn(256, 1, device=device)
        if turn % 10 == 0:
            turns.append(turn)
            for name, values in norms.items():
                loss = generator_loss(discriminator(generator(z)), name == "saturating")
                gradients = torch.autograd.grad(loss, list(generator.parameters()))
                values.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        discriminator_step(discriminator, generator, optimizer, x, z)
    display(
        show.curves(
            norms,
            x=turns,
            xlabel="turns of the discriminator",
            ylabel="norm of the gradient",
            title="What the generator is told",
            logarithmic=True,
        )
    )

# %% [markdown]
# At first both gradients grow: a discriminator that knows nothing has nothing to teach. But the better it gets, the less comes through the loss of the game
# itself, in the end nothing: the flat part of section 1 again. The non-saturating loss keeps pushing. It is another objective, though, and no longer the divergence of exercise 2; in
# practice everybody takes it.

# %% [markdown]
# ## 4 · Collapse
#
# Eight bell curves on a ring. A generator that has learned them visits all eight. But nothing in its loss *asks* for that: each
# fake is pushed to where the discriminator says “real”, and no fake knows of the others. If that place is the same
# for all, they all go there.
#
# Two runs, equal in everything but one number: in the first the generator has one turn for every turn of the
# discriminator, in the second it has **five**. Every 100 steps we count
#
# - **high-quality samples**: what share of the samples lies within three standard deviations of a mode, and
# - **modes covered**: at how many of the eight there are high-quality samples – at least a tenth of what would be its fair share.
#
# **Before you run it, guess** how the losses will differ.

# %%
eight = ring(std=0.1)


def play_on_ring(name: str, generator_turns: int, epochs: int, points: int):
    """One run; returns its history, and after each epoch some samples and the discriminator."""
    generator = mlp(2, 2, 128, nn.ReLU)
    discriminator = scalar_discriminator(2, 128, lambda: nn.LeakyReLU(0.2))
    film = []

    @torch.no_grad()
    def count_modes() -> dict[str, float]:
        samples = generator(torch.randn(2000, 2, device=device))
        found = mode_coverage(samples, eight)
        film.append((samples[:500], copy.deepcopy(discriminator)))
        return {"modes covered": found.modes, "high-quality samples": found.high_quality}

    history = train_gan(
        name,
        eight.sample(points),
        discriminator,
        generator,
        latent=2,
        epochs=epochs,
        discriminator_lr=2e-3,
        generator_lr=1e-3,
        batch_size=256,
        generator_turns=generator_turns,
        validate=count_modes,
    )
    return history, film

# %% tags=["experiment"]
with experiment("ring"):
    ring_cfg = profile(
        smoke=dict(epochs=2, points=1280),
        cpu=dict(epochs=12, points=25600),
        full=dict(epochs=40, points=25600),
    )
    runs = {}
    for name, generator_turns in {"one turn": 1, "five turns": 5}.items():
        seed_all(2)
        runs[name] = play_on_ring(name, generator_turns, ring_cfg.epochs, ring_cfg.points)
    histories = {name: history for name, (history, _) in runs.items()}
    films = {name: film for name, (_, film) in runs.items()}
    steps = [ring_cfg.points // 256 * (epoch + 1) for epoch in range(ring_cfg.epochs)]
    for what in ("modes covered", "high-quality samples"):
        series = {name: history[what] for name, history in histories.items()}
        display(show.curves(series, x=steps, xlabel="steps", ylabel=what, title=f"Ring: {what}"))

# %% tags=["experiment", "cover"]
with experiment("ring-film"):
    data = eight.sample(400)
    frames = [
        show.landscape(
            {f"{name} of the generator": film[epoch][1] for name, film in films.items()},
            points={"data": data},
            samples={f"{name} of the generator": film[epoch][0] for name, film in films.items()},
            arrows=True,
            limits=(-4, 4),
            centre=0.0,
            label="logit",
            title=f"After {steps[epoch]} steps",
        )
        for epoch in range(ring_cfg.epochs)
    ]
    display(show.gif(frames, seconds=0.7 * len(frames)))
    display(frames[-1])

# %% [markdown]
# An arrow shows where a fake is pushed: up the discriminator's hill, the longer the harder. On the left the fakes are spread over all eight hills. On
# the right all of them sit in nearly one spot, on one slope. The discriminator learns that this spot
# is fake, the hill moves, and the whole flock flies after it, from mode to mode, for ever. This is *mode collapse*.

# %% tags=["experiment"]
with experiment("ring-losses"):
    for player in ("discriminator", "generator"):
        series = {name: history[player] for name, history in histories.items()}
        if player == "discriminator":
            series["log 4"] = [math.log(4)] * len(steps)
        display(
            show.curves(
                series, x=steps, xlabel="steps", ylabel="nats", title=f"Ring: the {player}'s loss"
            )
        )

# %% [markdown]
# Would you have seen it from these curves? The collapsed run has the *lower* loss of the generator, and its discriminator's loss is
# closer to $\log4$, the value at $p=q$. From the losses alone you would have picked the wrong run.
#
# ### Question 1 · `not-won` · 2 points · 6 minutes
#
# By exercise 2 the game is won, $p=q$, if its value against the best discriminator is $-\log4$. A discriminator with $l=0$ everywhere, which knows
# nothing yet, has a loss of $\log 4$ against every generator; the collapsed run above shows nearly the same after a thousand steps. Why does neither mean
# that the game is won?

# %% [markdown] think="not-won" points=2
# Your answer to *not-won*: give a reason for each of the two.
#
# ### BEGIN MARK SCHEME
# V(D, G) = −log 4 says p = q **only for the optimal discriminator** of the current generator. The loss that one sees is that of the current discriminator (1 point for
# this idea, in whatever words).
#
# At the start: a discriminator that knows nothing gives l = 0 everywhere and pays log 4 against *any* generator. After a thousand steps: a discriminator that is too weak (small,
# badly trained, learning rate too low or too high, too strongly regularised) cannot tell the two apart although p ≠ q; or it was fooled for the moment, as in the collapsing run where the loss passes log 4
# whenever the flock has just moved; or the mean hides one part above and one below. (1 point for one valid reason each side of this; a check such as
# "train a fresh discriminator against the frozen generator" earns the point as well.)
# ### END MARK SCHEME

# %% [markdown]
# ### Question 2 · `seeing-collapse` · 2 points · 5 minutes
#
# For a ring you could count modes. For images nobody gives you the modes.

# %% [markdown] think="seeing-collapse" points=2
# Your answer to *seeing-collapse*: name two things, other than the two losses, that you would look at to notice that a GAN on images
# has collapsed, and say what each would look like.
#
# ### BEGIN MARK SCHEME
# One point each for two that work, with what would be seen. For example: samples from one fixed batch of codes through training (they look alike, or all change together); pairwise distances
# or the spread of samples (much smaller than that of data); nearest neighbours among samples, duplicates (birthday paradox test); classes that a classifier sees in
# the samples (histogram has gaps); FID, or recall of precision–recall measures (high, low recall); a latent interpolation that does not change; the generator's
# output hardly depends on z (gradient or variance over z near zero); a discriminator that sees several samples together (minibatch discrimination).
#
# No points for the losses themselves, or for "samples look bad": collapsed samples may look perfect one by one.
# ### END MARK SCHEME

# %% [markdown]
# ## 5 · Drawing with convolutions
#
# For images Radford et al. (2016) found an architecture that trains: **DCGAN**. The generator starts from a code and doubles the
# image several times by *transposed convolutions*; the discriminator halves it as often by convolutions. No pooling, BatchNorm nearly
# everywhere, and small random weights.
#
# An ordinary convolution with stride $s$ reads every $s$-th place and so shrinks an image. A transposed one runs the same wiring
# backwards: each input pixel paints a whole kernel into the output, at places $s$ apart; then $p$ pixels are cut off on each side, and
# $o$ added on one.
#
# ### Exercise 7 · `conv-transpose-size` · 1 point · ●○○ · 6 minutes
#
# How many pixels wide is the output? Draw it for $n=3$, kernel 4, stride 2 if you do not see it.
#
# <details><summary>Hint</summary>
# Where does the kernel of the first input pixel begin, and where does that of the last one end?
# </details>

# %% exercise="conv-transpose-size"
def conv_transpose_size(
    n: int, kernel: int, stride: int, padding: int, output_padding: int
) -> int:
    """Output size of a transposed convolution along one axis, in pixels (dilation 1).

    Args:
        n: input size.
        kernel: size of the kernel.
        stride: distance of two neighbours' kernels in the output.
        padding: pixels cut off on each side.
        output_padding: pixels added on one side.
    """
    ### BEGIN SOLUTION
    painted = (n - 1) * stride + kernel
    return painted - 2 * padding + output_padding
    ### END SOLUTION

# %% test="conv-transpose-size" points=1
check("conv-transpose-size", conv_transpose_size)

# %% [markdown]
# ### Exercise 8 · `build-generator` · 2 points · ●●○ · 12 minutes
#
# From codes `(batch, latent)` to images `(batch, channels, 28, 28)`. A plan that works: $1\to7\to14\to28$ pixels, with `2 * width`, then `width`, then
# `channels` channels; BatchNorm and ReLU after each but the last. The plan is yours, though: the check asks for shapes, the range of the pixels, that every number of a code
# matters, and that `width` makes it larger.
#
# Our images lie in [0, 1], so the last layer is a **sigmoid**. (The paper has tanh, for images in [−1, 1]. Taking tanh with images in
# [0, 1] is a popular mistake: the discriminator then knows every fake by its negative pixels.)
#
# <details><summary>Hint: from a code to the first image</summary>
# <code>nn.Unflatten(1, (latent, 1, 1))</code> makes it an image of 1×1 pixel. Which kernel gives 7×7 from it?
# </details>
#
# <details><summary>Hint: doubling</summary>
# Your <code>conv_transpose_size</code> knows: kernel 4, stride 2, padding 1.
# </details>

# %% exercise="build-generator"
def build_generator(latent: int, width: int, channels: int) -> nn.Module:
    """Generator of 28×28 images. Radford, Metz & Chintala, *Unsupervised Representation Learning…*, 2016, section 3.

    Args:
        latent: numbers in a code.
        width: channels of the last hidden layer; earlier ones have more.
        channels: of the images, 1 for grey and 3 for colour.

    Returns:
        A network from codes, shape (batch, latent), to images in [0, 1], shape (batch, channels, 28, 28).
    """
    ### BEGIN SOLUTION
    return nn.Sequential(
        nn.Unflatten(1, (latent, 1, 1)),
        nn.ConvTranspose2d(latent, 2 * width, 7, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )
    ### END SOLUTION

# %% test="build-generator" points=2
check("build-generator", build_generator)

# %% [markdown]
# ### Exercise 9 · `build-discriminator` · 1 point · ●●○ · 8 minutes
#
# And back: $28\to14\to7\to1$ pixels with `width`, `2 * width` and 1 channels. `LeakyReLU(0.2)` stands after each layer but the last, BatchNorm after none but the
# middle one; and no sigmoid at the end, since your losses expect logits, one an image. Again the plan is yours.
#
# <details><summary>Hint: from (batch, 1, 1, 1) to (batch,)</summary>
# <code>nn.Flatten(0)</code>. A <code>squeeze()</code> would do it for most batches, and break for a batch of one.
# </details>

# %% exercise="build-discriminator"
def build_discriminator(width: int, channels: int) -> nn.Module:
    """Discriminator of 28×28 images. Radford, Metz & Chintala, 2016, section 3.

    Args:
        width: channels of the first hidden layer; later ones have more.
        channels: of the images.

    Returns:
        A network from images, shape (batch, channels, 28, 28), to logits, shape (batch,).
    """
    ### BEGIN SOLUTION
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 7),
        nn.Flatten(0),
    )
    ### END SOLUTION

# %% test="build-discriminator" points=1
check("build-discriminator", build_discriminator)

# %% [markdown]
# ### Exercise 10 · `init-weights` · 2 points · ●○○ · 8 minutes
#
# The paper draws every weight of a convolution, transposed or not, from $\mathcal N(0,\,0.02^2)$; BatchNorm's weights from
# $\mathcal N(1,\,0.02^2)$, its biases are 0. Write it for one module: `network.apply(init_weights)` calls it for every layer.
#
# <details><summary>Hint</summary>
# <code>isinstance</code> tells what a module is, and <code>torch.nn.init</code> holds functions that fill a tensor in place.
# </details>

# %% exercise="init-weights"
def init_weights(module: nn.Module) -> None:
    """Draw the weights of one layer anew, in place. Radford, Metz & Chintala, 2016, section 4.

    Convolutions, transposed ones too, get weights from N(0, 0.02²); batch normalisation gets weights from N(1, 0.02²) and
    biases 0. Here 0.02 is a standard deviation.

    Args:
        module: a layer, or a network, whose own parameters it leaves alone (`apply` calls this for each of its layers).
    """
    ### BEGIN SOLUTION
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
    ### END SOLUTION

# %% test="init-weights" points=2
check("init-weights", init_weights)

# %% [markdown]
# ### Exercise 11 · `snapshot` · 2 points · ●○○ · 8 minutes
#
# To watch a generator learn, we draw the *same* codes again and again. Looking must not change anything: BatchNorm has to use its
# running averages (eval mode) and must not update them, and training has to go on in the mode it was in, whichever that was.
#
# <details><summary>Hint: modes</summary>
# <code>generator.training</code> tells the mode, <code>generator.train(mode)</code> sets it, for all layers inside as well.
# </details>

# %% exercise="snapshot"
def snapshot(generator: nn.Module, z: Tensor) -> Tensor:
    """What the generator draws in eval mode; afterwards it is as it was, in its mode too.

    Args:
        generator: network from codes to images.
        z: codes, shape (batch, latent).

    Returns:
        Images without a graph, shape (batch, channels, height, width).
    """
    ### BEGIN SOLUTION
    training = generator.training
    generator.eval()
    with torch.no_grad():
        images = generator(z)
    generator.train(training)
    return images
    ### END SOLUTION

# %% test="snapshot" points=2
check("snapshot", snapshot)

# %% [markdown]
# ### Experiment · DCGAN
#
# Now all eleven functions together, on handwritten digits. After each epoch the same 48 codes are drawn. (The paper's learning rate is 2e-4,
# for a hundred times as many steps. A laptop has to take larger ones.)

# %%
dcgan_cfg = profile(
    smoke=dict(images=512, width=4, latent=16, epochs=1, lr=1e-3, batch=64, real=100),
    cpu=dict(images=6000, width=16, latent=32, epochs=13, lr=1e-3, batch=64, real=1000),
    full=dict(images=60000, width=64, latent=100, epochs=25, lr=2e-4, batch=128, real=10000),
)
digits, test_digits = load("mnist", count=dcgan_cfg.images, test_count=dcgan_cfg.real)

SAMPLES = 5 * len(test_digits)


def draw(generator, z: Tensor) -> Tensor:
    """Images of many codes from a generator in eval mode, on the CPU."""
    return torch.cat([snapshot(generator, part.to(device)).cpu() for part in z.split(1000)])


def film_of(generator, codes: Tensor, frames: list):
    """For `on_epoch`: draw the same codes after every epoch, for a GIF and for TensorBoard."""

    def take(epoch: int) -> dict[str, Tensor]:
        frames.append(snapshot(generator, codes).cpu())
        return {"fixed codes": frames[-1]}

    return take

# %% tags=["experiment"]
with experiment("dcgan-training"):
    seed_all(3)
    generator = build_generator(dcgan_cfg.latent, dcgan_cfg.width, 1)
    discriminator = build_discriminator(dcgan_cfg.width, 1)
    for network in (generator, discriminator):
        network.apply(init_weights)
    frames = []
    history = train_gan(
        "dcgan",
        digits,
        discriminator,
        generator,
        latent=dcgan_cfg.latent,
        epochs=dcgan_cfg.epochs,
        discriminator_lr=dcgan_cfg.lr,
        generator_lr=dcgan_cfg.lr,
        batch_size=dcgan_cfg.batch,
        decay=False,
        on_epoch=film_of(
            generator, torch.randn(48, dcgan_cfg.latent, device=device), frames
        ),
    )
    dcgan, dcgan_frames = generator, frames
    display(history.plot("discriminator", "generator", title="DCGAN: both losses"))

# %% tags=["experiment"]
with experiment("dcgan-film"):
    display(
        show.gif(
            torch.stack(dcgan_frames),
            columns=12,
            scale=2,
            alt="Forty-eight fixed codes drawn after each epoch: grey noise becomes strokes, and strokes become digits.",
        )
    )
    display(show.grid(dcgan_frames[-1], columns=12, title="DCGAN: the last frame"))

# %% tags=["experiment"]
with experiment("dcgan-samples"):
    seed_all(4)
    dcgan_samples = draw(dcgan, torch.randn(SAMPLES, dcgan_cfg.latent))
    found = recognised(dcgan_samples)
    print(f"DCGAN: {found}")
    title = f"DCGAN: {found.share:.0%} recognised as digits"
    display(show.grid(dcgan_samples[:48], columns=12, title=title))

# %% [markdown]
# Strokes, loops, and many a digit that one could read, after half a minute of a laptop. Over the last picture stands how many: of
# so many out of thousands a classifier, trained on real digits, is over 90 % sure. (It is of 98 % of real ones.) In the `full` profile, on a
# GPU, the network is that of the paper, and so is its learning rate.
#
# ### Question 3 · `checkerboards` · 1 point · 5 minutes
#
# Here are some fakes of the first epoch, enlarged. Their pixels are brighter and darker by turns, like a woven fabric. Training irons
# it out, mostly.

# %% tags=["experiment"]
with experiment("checkerboards"):
    display(show.grid(dcgan_frames[0][:4], columns=4, scale=6, title="DCGAN after one epoch"))

# %% [markdown] think="checkerboards" points=1
# Your answer to *checkerboards*: why can neighbouring pixels differ so regularly – which part of the generator treats even and odd places differently? –
# and what would you put in its place?
#
# ### BEGIN MARK SCHEME
# The transposed convolutions with stride 2: every second output pixel gets its value from other entries of the kernel than its neighbour does (even and odd places see different weights), so
# unless training makes them agree the output alternates with period 2 (with a kernel that is not a multiple of the stride they even get different *numbers* of contributions).
# Remedy: enlarge first (nearest neighbour or bilinear), then an ordinary convolution; or a sub-pixel convolution that starts equal for all phases; an ordinary convolution
# as last layer. Odena, Dumoulin & Olah, *Deconvolution and Checkerboard Artifacts*, 2016. (½ point for the cause, ½ for a remedy; in whole points: both.)
# ### END MARK SCHEME

# %% [markdown]
# ## 6 · A steadier game
#
# For a laptop there is a better bargain. Convolutions cost a lot of time, and digits of 28×28 pixels can do without. What
# a GAN cannot do without is a discriminator that stays *informative*: sure enough to teach, not so sure that it only says no.
#
# Miyato et al. (2018) keep it so by **spectral normalisation**: each weight matrix is divided by its largest singular value, so no
# layer stretches any difference between two inputs. The logits can then not get too steep: a fake that is a bit
# better gets a mark that is a bit better. We also draw with an *average* of the generator's weights over its last hundreds of turns: players chase each
# other in circles, and an average stays near the middle.
#
# Both networks are given, plain multilayer perceptrons. The game is yours, and unchanged.

# %% tags=["experiment"]
with experiment("steady-training"):
    steady_cfg = profile(
        smoke=dict(epochs=1),
        cpu=dict(epochs=45),
        full=dict(epochs=60),
    )
    LATENT = 16
    seed_all(5)
    generator = mlp_generator(LATENT)
    discriminator = mlp_discriminator(spectral=True)
    average = AveragedModel(
        generator.to(device), multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True
    )
    frames = []
    history = train_gan(
        "steady",
        digits,
        discriminator,
        generator,
        latent=LATENT,
        epochs=steady_cfg.epochs,
        discriminator_lr=1e-3,
        generator_lr=1e-3,
        betas=(0.0, 0.99),
        after_turns=lambda: average.update_parameters(generator),
        on_epoch=film_of(average.module, torch.randn(48, LATENT, device=device), frames),
    )
    steady, steady_frames = average.module, frames
    display(history.plot("discriminator", "generator", title="The steady game: both losses"))

# %% [markdown]
# Nobody wins, so both go on learning. A film again, of 48 codes:

# %% tags=["experiment"]
with experiment("steady-film"):
    display(
        show.gif(
            torch.stack(steady_frames[:: max(1, len(steady_frames) // 20)]),
            columns=12,
            scale=2,
            alt="Forty-eight fixed codes through training: blots become strokes, and strokes legible digits.",
        )
    )
    display(show.grid(steady_frames[-1], columns=12, title="The averaged generator, at the end"))

# %% [markdown]
# A sample sheet shows what one wants to see. So here is what can be *counted*, over thousands of samples:
#
# - how many of them that classifier is over 90 % sure of, and how many classes occur;
# - the *Fréchet distance* (FID, Heusel et al., 2017): what that classifier's last layer sees of real test digits and of
#   samples, each summed up as a Gaussian, and the distance between the two. Small is good. From finitely many images it is never 0, so we give the same
#   number for real training digits: the floor. In brackets stands a 95 % interval.
#
# What would more patience give? `load_generator("gan")` has played the same game for longer, with the 60,000 digits of the complete MNIST.

# %%
def report(name: str, images: Tensor):
    """Print how many images look like digits, of how many classes, and the FID."""
    found = recognised(images)
    print(f"{name}: {found} · FID {frechet_distance(test_digits.images, images)}")
    return found

# %% tags=["experiment"]
with experiment("steady-samples"):
    seed_all(6)
    z = torch.randn(SAMPLES, LATENT)
    steady_samples, longer_samples = draw(steady, z), draw(load_generator("gan"), z)
    sheets = {
        "DCGAN": dcgan_samples,
        "Your steady game": steady_samples,
        "After longer training": longer_samples,
        "Real training digits": digits.images[:SAMPLES],
    }
    counts = {name: report(name, images) for name, images in sheets.items()}
    for name in ("Your steady game", "After longer training"):
        title = f"{name}: {counts[name].share:.0%} recognised as digits"
        display(show.grid(sheets[name][:60], columns=12, title=title))

# %% tags=["experiment"]
with experiment("which-digits"):
    shares = {
        name: [100 * count / len(sheets[name]) for count in found.counts]
        for name, found in counts.items()
    }
    display(
        show.bars(
            shares,
            ticks=range(10),
            xlabel="recognised as",
            ylabel="% of the images",
            title="Which digits are drawn",
        )
    )

# %% [markdown]
# A model that drew the digits as they are would have ten equal bars. Those it neglects are the beginning of a collapse, milder than on the
# ring; neither the losses nor a glance at a sheet would have told you.
#
# ### Between two codes, and the nearest neighbours
#
# Two last questions to any generator. *Does it only know its training images by heart?* Then the nearest
# training image of a sample would be the sample itself; here it is a cousin, with another slant or stroke. *Is there sense between two codes?* A generator that has
# understood digits changes one smoothly into another.

# %% tags=["experiment"]
with experiment("nearest-neighbours"):
    chosen = steady_samples[:10]
    display(
        show.reconstructions(
            chosen,
            digits.images[nearest(chosen, digits.images)],
            labels=["drawn", "nearest training image"],
            title="Drawn, and what comes closest in the training set",
        )
    )

# %% tags=["experiment"]
with experiment("between-codes"):
    seed_all(7)
    ends = torch.randn(2, 5, 1, LATENT)
    angle = torch.linspace(0, torch.pi / 2, 12)[:, None]
    path = angle.cos() * ends[0] + angle.sin() * ends[1]
    images = draw(steady, path.flatten(0, 1)).unflatten(0, path.shape[:2])
    display(show.traversal(images, xlabel="from one code to another", title="Between two codes"))

# %% [markdown]
# The path is an arc and not a straight line: $\cos(t)\,z_1+\sin(t)\,z_2$ is again a draw from $\mathcal N(0,I)$ for
# every $t$, while the middle of a straight line lies nearer to the origin than nearly all codes that the generator has ever seen.

# %% [markdown]
# ## Summary
#
# - Against the best discriminator, $l^*=\log p-\log q$, a generator minimises the Jensen–Shannon divergence. Where $p$ and $q$ hardly
#   overlap, it is flat.
# - Losses of logits are written with `softplus`. The generator's non-saturating loss keeps pushing the fakes that are worst.
# - One optimizer a player, fakes cut off in the discriminator's turn, gradients cleared before `backward()`.
# - A loss tells who is winning, not how good the samples are. Look at samples from fixed codes, count modes or classes, measure a
#   distance on features.
# - A discriminator that wins too clearly stops teaching. Spectral normalisation keeps it in play.
#
# ## Going further
#
# - Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, 2018.
# - Salimans et al., *Improved Techniques for Training GANs*, 2016: label smoothing (real ones count 0.9 and not 1), minibatch discrimination.
# - Lim & Ye, *Geometric GAN*, 2017: the hinge loss, in most image GANs since.
# - Mescheder, Geiger & Nowozin, *Which Training Methods for GANs do actually Converge?*, 2018.
# - Karras, Laine & Aila, *A Style-Based Generator Architecture for Generative Adversarial Networks*, 2019: StyleGAN.
# - Lab 02 replaces the divergence by a distance that is not flat.
