# %% [markdown]
# # Lab 02 · The Wasserstein GAN
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({{colab}}/course/02-wgan/02-wgan.ipynb)
#
# You will train a generator on a loss that you can *read*: a distance between what it draws and what it should draw. In
# one dimension you compute that distance exactly; everywhere else a second network, the critic, estimates it, and you
# will know how far to trust the estimate. It takes about two hours.
#
# **After this lab you can**
#
# - compute Wasserstein distances exactly in small cases;
# - say what a critic estimates, and up to which constant;
# - keep a critic Lipschitz by clipping and by a gradient penalty, and see what each does to it;
# - read a critic's loss: when it is a learning curve, and when it lies.
#
# **It builds on** PyTorch basics (modules, autograd, a training loop) and on the idea of lab 01: a generator and an
# adversary that take turns. You need no code from there.
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
import copy
import math
from itertools import chain, repeat

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lvmlib import batches, check, experiment, fit, load, profile, seed_all, show
from lvmlib.measure import frechet_distance, mode_coverage, recognised
from lvmlib.mixtures import ring, swiss_roll
from lvmlib.networks import load_generator, mlp_discriminator, mlp_generator

device = profile.device

# %% [markdown]
# ## Conventions
#
# | In the text | In the code | Meaning |
# |---|---|---|
# | $x$ | `x`, `real` | real observations; images are `(batch, channel, height, width)`, float32 in [0, 1] |
# | $z$ | `z` | noise, standard normal; `(batch, latent)` |
# | $g(z)$ | `generator(z)`, `fake` | what the generator makes of it, in the shape of `x` |
# | $f(x)$ | `critic(x)` | the critic's **score**: `(batch,)`, any real number, high for real |
# | $c$ | `limit` | of the critic's weights |
# | $\lambda$ | `weight` | of the gradient penalty |
# | $W_1$ | `wasserstein_1d(x, y)` | the Wasserstein-1 distance, in the units of $x$ – not in nats |

# %% [markdown]
# ## 1 · What it costs to move
#
# Think of two distributions as two heaps of sand. To turn one into the other you have to move sand, and moving a gram by a
# metre costs one. The **Wasserstein distance** $W_1$ is what the cheapest plan costs; hence its other name, the *earth
# mover's distance*.
#
# Finding the cheapest plan is a hard problem in general. On a line it is easy: plans that cross never pay, so the
# leftmost sand goes leftmost. For $n$ points against $n$ points, sort both and move the $i$-th to the $i$-th:
#
# $$W_1=\frac1n\sum_{i=1}^n\big|x_{(i)}-y_{(i)}\big| .$$
#
# With $n$ points against $m$, each $x$ carries mass $1/n$ and each $y$ mass $1/m$, so a point may have to be split.
# Written with quantile functions, which read "below which value lies a share $u$ of the mass?", it is the same sentence:
#
# $$W_1=\int_0^1\big|F^{-1}(u)-G^{-1}(u)\big|\,du .$$
#
# ### Exercise 1 · `wasserstein-1d` · 3 points · ●○○ · 12 minutes
#
# Both numbers of points are arbitrary, and the result has to be exact – no grid of quantiles – and differentiable: later, you will train with it.
# (`x.sort()` returns values and indices; the values are differentiable.)
#
# <details><summary>Hint: n ≠ m</summary>
# Split the points until there are equally many. If every x becomes m/gcd copies and every y becomes n/gcd copies, both have
# lcm(n, m) points of equal mass. <code>math.lcm</code> and <code>repeat_interleave</code> do it without a loop.
# </details>
#
# <details><summary>Hint: is it not the difference of the means?</summary>
# On a pure shift it is. Two heaps with equal means and different spreads have no gap of means, and still do not lie where
# they should.
# </details>

# %% exercise="wasserstein-1d"
def wasserstein_1d(x: Tensor, y: Tensor) -> Tensor:
    """Wasserstein-1 distance between two sets of points on a line, the points equally heavy.

    Args:
        x: shape (n,).
        y: shape (m,).

    Returns:
        A 0-d tensor in the units of x, differentiable with respect to both.
    """
    ### BEGIN SOLUTION
    count = math.lcm(len(x), len(y))
    x = x.sort().values.repeat_interleave(count // len(x))
    y = y.sort().values.repeat_interleave(count // len(y))
    return (x - y).abs().mean()
    ### END SOLUTION

# %% test="wasserstein-1d" points=3
check("wasserstein-1d", wasserstein_1d)

# %% [markdown]
# Two heaps with the same mean. Their quantile functions differ all the same, and $W_1$ is the **area between the curves**.

# %% tags=["experiment"]
with experiment("two-heaps"):
    seed_all(0)
    x = torch.cat([torch.randn(500) * 0.4 - 2, torch.randn(500) * 0.4 + 2])
    y = torch.randn(1000)
    x, y = x - x.mean(), y - y.mean()
    print(f"gap of the means {(x.mean() - y.mean()).abs():.3f} · W₁ {wasserstein_1d(x, y):.3f}")
    quantiles = {"two peaks": x.sort().values.tolist(), "one peak": y.sort().values.tolist()}
    display(
        show.curves(
            quantiles,
            x=torch.linspace(0, 1, 1000).tolist(),
            xlabel="share of the mass, u",
            ylabel="quantile",
            title=f"The area between the curves is W₁ = {wasserstein_1d(x, y):.2f}",
        )
    )

# %% [markdown]
# ## 2 · Two lines that never meet
#
# Why another distance, when there are divergences already? Here is the smallest example that shows it (Arjovsky et al.,
# 2017, example 1). In the plane, $P$ is uniform on the vertical segment from $(0,0)$ to $(0,1)$, and $Q_\theta$ on the
# same segment moved by $\theta$. A generator has learned $P$ when $\theta=0$.
#
# Unless $\theta=0$ the two lines have no point in common. **Before you go on, guess:** which of these know how far $\theta$ is
# off?
#
# - $W_1(P,Q_\theta)$;
# - the Jensen–Shannon divergence $\mathrm{JSD}=\tfrac12\mathrm{KL}(P\|M)+\tfrac12\mathrm{KL}(Q_\theta\|M)$ with
#   $M=\tfrac12(P+Q_\theta)$, which the perfect discriminator of lab 01 measures;
# - $\mathrm{KL}(P\|Q_\theta)=\mathbb E_P\log\frac P{Q_\theta}$, which maximum likelihood minimises.
#
# ### Exercise 2 · `parallel-lines` · 2 points · ●○○ · 10 minutes
#
# Work the three out on paper and write down the result; the divergences in nats, that is, with natural logarithms.
#
# <details><summary>Hint: W₁ in the plane</summary>
# Every grain has to go at least |θ| sideways. Is there a plan by which no grain goes farther?
# </details>
#
# <details><summary>Hint: the JSD</summary>
# Where P lives, M has half of P's density and nothing else. So the logarithm of P over M is the same number everywhere.
# </details>
#
# <details><summary>Hint: the KL divergence</summary>
# It averages log P/Q over P. What is Q there? Python writes the answer <code>math.inf</code>. And do not forget θ = 0.
# </details>

# %% exercise="parallel-lines"
def parallel_lines(theta: float) -> tuple[float, float, float]:
    """Three distances between two parallel unit segments whose gap is |theta|.

    Args:
        theta: any real number; the segments coincide at 0.

    Returns:
        (w1, jsd, kl): W₁(P, Q), the Jensen–Shannon divergence and KL(P ‖ Q), the last two in nats.
    """
    ### BEGIN SOLUTION
    if theta == 0:
        return 0.0, 0.0, 0.0
    return abs(theta), math.log(2), math.inf
    ### END SOLUTION

# %% test="parallel-lines" points=2
check("parallel-lines", parallel_lines)

# %% [markdown]
# The second picture is what a generator would feel: the slope at each $\theta$, for $W_1$ by autograd through *your*
# `wasserstein_1d` (of the horizontal coordinates), for the JSD by differences.

# %% tags=["experiment"]
with experiment("two-lines"):
    edge = 1.15
    thetas = torch.arange(-100, 101) / 100
    w1, jsd, kl = zip(*(parallel_lines(theta) for theta in thetas.tolist()))
    distances = {
        "KL (∞, drawn at the edge)": [min(value, edge) for value in kl],
        "W₁": w1,
        "JSD": jsd,
    }
    display(
        show.curves(
            distances,
            x=thetas.tolist(),
            xlabel="θ",
            ylabel="distance",
            title="Only W₁ knows how far away θ = 0 is",
        )
    )
    apart = torch.linspace(-0.99, 0.99, 100)  # without 0, where neither has a slope
    theta = apart.clone().requires_grad_()
    sum(wasserstein_1d(gap.expand(50), torch.zeros(50)) for gap in theta).backward()
    steps = [parallel_lines(t + 1e-3)[1] - parallel_lines(t - 1e-3)[1] for t in apart.tolist()]
    slopes = {"of W₁": theta.grad.tolist(), "of the JSD": [step / 2e-3 for step in steps]}
    display(
        show.curves(
            slopes,
            x=apart.tolist(),
            xlabel="θ",
            ylabel="slope",
            title="…and only its slope says where to go",
        )
    )

# %% [markdown]
# Two lines may look contrived. Images are no better off: those of digits lie on thin sheets in a space of 784 dimensions,
# and the sheet of a young generator meets the data's practically nowhere. A discriminator that is trained to its end then
# tells them apart perfectly, the divergence that it measures is $\log 2$ whatever the generator does, and no gradient is left. A
# GAN lives from *not* training it to the end. With $W_1$, a better adversary is simply a better measuring instrument.

# %% [markdown]
# ## 3 · A critic
#
# Away from the line nobody can sort. But the cheapest plan has a twin, *Kantorovich–Rubinstein duality*:
#
# $$W_1(P,Q)=\max_{\|f\|_L\le1}\ \mathbb E_{x\sim P}\,f(x)-\mathbb E_{x\sim Q}\,f(x) .$$
#
# The maximum runs over all functions whose slope is nowhere above 1, the *1-Lipschitz* ones. Let a network be $f$; we call it
# the **critic**. It is no classifier: its score is no probability, no sigmoid ends it, no logarithm is taken. Whatever
# 1-Lipschitz critic we have, its gap of mean scores is a **lower bound** of $W_1$, and training lifts that bound. So
#
# - the critic *maximises* an estimate of $W_1$;
# - the generator *minimises* it.
#
# (You will read that "the critic minimises the Wasserstein distance". It is the other one who does.) Optimizers descend, so the
# critic's loss is minus its estimate:
#
# $$L_{\text{critic}}=\mathbb E_z f(g(z))-\mathbb E_x f(x),\qquad L_{\text{generator}}=-\mathbb E_z f(g(z)).$$
#
# ### Exercise 3 · `critic-loss` · 1 point · ●○○ · 4 minutes
#
# The numbers of real and fake scores may differ.

# %% exercise="critic-loss"
def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """What the critic minimises: minus its estimate.

    Arjovsky, Chintala & Bottou, *Wasserstein GAN*, 2017, algorithm 1.

    Args:
        real_scores: the critic's scores of real observations, shape (batch,).
        fake_scores: those of fake ones, shape (batch',).

    Returns:
        A 0-d tensor.
    """
    ### BEGIN SOLUTION
    return fake_scores.mean() - real_scores.mean()
    ### END SOLUTION

# %% test="critic-loss" points=1
check("critic-loss", critic_loss)

# %% [markdown]
# ### Exercise 4 · `wgan-generator-loss` · 1 point · ●○○ · 3 minutes
#
# The generator cannot move the real scores. What is left for it?

# %% exercise="wgan-generator-loss"
def generator_loss(fake_scores: Tensor) -> Tensor:
    """What the generator minimises, a 0-d tensor, given the scores of its fakes, shape (batch,)."""
    ### BEGIN SOLUTION
    return -fake_scores.mean()
    ### END SOLUTION

# %% test="wgan-generator-loss" points=1
check("wgan-generator-loss", generator_loss)

# %% [markdown]
# ### Keeping it Lipschitz, the blunt way
#
# Without a bound on its slope the critic would double its scores, double the "estimate", and never stop. The first
# Wasserstein GAN bounded the *weights*: after every step, each is clamped into $[-c, c]$.
#
# ### Exercise 5 · `clip-weights` · 2 points · ●○○ · 6 minutes
#
# Clamp every parameter of the critic in place, biases too. Buffers, such as running statistics, are no parameters.
#
# <details><summary>Hint: "a leaf Variable that requires grad is being used in an in-place operation"</summary>
# Autograd must not see the change: work under <code>torch.no_grad()</code>. The parameters have to stay the same objects,
# because the optimizer holds on to them.
# </details>

# %% exercise="clip-weights"
def clip_weights(critic: nn.Module, limit: float) -> None:
    """Clamp all parameters of a critic into [-limit, limit], in place.

    Arjovsky, Chintala & Bottou, 2017, algorithm 1, line 7.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.clamp_(-limit, limit)
    ### END SOLUTION

# %% test="clip-weights" points=2
check("clip-weights", clip_weights)

# %% [markdown]
# ### Exercise 6 · `critic-step` · 4 points · ●●○ · 15 minutes
#
# One step of the critic's training, with your functions from above: losses, gradients, the optimizer's step, clipping. Two
# things go wrong easily:
#
# - When the generator took its turn, it left gradients *in the critic*. They do not belong to this step.
# - The critic's turn is not the generator's: no gradient of this loss may reach it.
#
# <details><summary>Hint: the generator's gradients</summary>
# What the generator made is data here: cut it off from the graph, or make it under <code>torch.no_grad()</code>.
# </details>
#
# <details><summary>Hint: when to clip</summary>
# After the step. Clipped before, the step leads out of the box again, and the generator meets an unclipped critic.
# </details>

# %% exercise="critic-step"
def critic_step(
    critic: nn.Module,
    generator: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    z: Tensor,
    limit: float,
) -> Tensor:
    """One step of a clipped critic; the generator stays as it is.

    Args:
        critic: (batch, …) -> scores (batch,).
        generator: z -> fake observations, (batch', …).
        optimizer: of the critic's parameters.
        x: real observations, shape (batch, …).
        z: noise, shape (batch', latent).
        limit: of the weights after the step.

    Returns:
        The critic's loss before the step, a 0-d tensor.
    """
    ### BEGIN SOLUTION
    loss = critic_loss(critic(x), critic(generator(z).detach()))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    clip_weights(critic, limit)
    return loss
    ### END SOLUTION

# %% test="critic-step" points=4
check("critic-step", critic_step)

# %% [markdown]
# ### Experiment · The simplest critic
#
# A critic with two weights, $f(x)=ax+b$, is Lipschitz with constant $|a|$, which clipping keeps at most $c$. Real data are
# 1,000 points; the fake ones are the same points, 3 to the right, so $W_1=3$ exactly. **Before you run it, guess** the
# estimates for $c=1$, 0.5 and 0.1.

# %%
def train_linear_critic(x: Tensor, fake: Tensor, limit: float, steps: int) -> list[float]:
    """The estimates −critic loss of f(x) = ax + b over the steps of its training."""
    critic = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
    nn.init.zeros_(critic[0].weight)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.02)
    losses = [critic_step(critic, nn.Identity(), optimizer, x, fake, limit) for _ in range(steps)]
    return torch.stack(losses).neg().tolist()

# %% tags=["experiment"]
with experiment("linear-critic"):
    seed_all(1)
    x = torch.randn(1000, 1)
    estimates = {}
    for limit in (1.0, 0.5, 0.1):
        estimates[f"c = {limit}"] = train_linear_critic(x, x + 3, limit, steps=60)
        w1 = wasserstein_1d(x.flatten(), x.flatten() + 3)
        print(
            f"c = {limit}: estimate {estimates[f'c = {limit}'][-1]:.3f} · c · W₁ = {limit * w1:.3f}"
        )
    wider = train_linear_critic(x - x.mean(), 3 * (x - x.mean()), 1.0, steps=60)
    spread = wasserstein_1d((x - x.mean()).flatten(), 3 * (x - x.mean()).flatten())
    print(f"not moved, but three times as wide: estimate {wider[-1]:.3f} · W₁ = {spread:.3f}")
    display(
        show.curves(
            estimates,
            xlabel="step of the critic",
            ylabel="estimate, −critic loss",
            title="A clipped linear critic finds c · W₁ of a shift",
        )
    )

# %% [markdown]
# The best clipped linear critic finds exactly $c\,W_1$ – *of a shift*. Where the fake points are not moved but spread, it finds
# nothing at all: every straight line has the same mean on both sides. A critic can only measure what it can
# express.
#
# ### Experiment · Critics that watch
#
# So take a network for a critic. The data have two peaks, and a generator $g(z)=az+b$ starts far to the right. It is trained on
# the *exact* $W_1$, by your differentiable `wasserstein_1d`; the critics only watch and estimate, with different limits
# $c$. If they measure $W_1$ up to a constant, then on a logarithmic axis their curves are copies of the exact one, moved up or
# down. ($W_1$ ends at about 0.65: a Gaussian is the best that this generator can do.)

# %%
def mlp(inputs: int, outputs: int, width: int = 64, hidden: int = 3) -> nn.Sequential:
    """Linear layers with ReLUs between them."""
    sizes = [inputs] + [width] * hidden
    layers = [nn.Linear(*size) for size in zip(sizes, sizes[1:])]
    parts = [part for layer in layers for part in (layer, nn.ReLU())]
    return nn.Sequential(*parts, nn.Linear(width, outputs))


def toy_critic(inputs: int, **sizes) -> nn.Sequential:
    """A critic of points, (batch, inputs) -> (batch,)."""
    return nn.Sequential(mlp(inputs, 1, **sizes), nn.Flatten(0)).to(device)


def rmsprop(network: nn.Module, lr: float = 5e-4) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(network.parameters(), lr)


def clipped(critic, generator, optimizer, limit: float):
    """The learning rule of a clipped critic: a function (x, z) -> loss that takes one step."""
    return lambda x, z: critic_step(critic, generator, optimizer, x, z, limit)


def two_peaks(count: int) -> Tensor:
    """Points on a line, around −2 and 1.5; shape (count, 1)."""
    peaks = torch.where(torch.rand(count, 1) < 0.5, -2.0, 1.5)
    return (peaks + 0.4 * torch.randn(count, 1)).to(device)


def noise(count: int, latent: int) -> Tensor:
    return torch.randn(count, latent, device=device)

# %%
line_sizes = profile(
    smoke=dict(steps=4, every=2, critic_steps=1, head_start=2),
    cpu=dict(steps=200, every=5, critic_steps=5, head_start=40),
    full=dict(steps=200, every=5, critic_steps=20, head_start=40),
)


def far_right() -> nn.Module:
    """A generator az + b of points that lie around 5."""
    generator = nn.Linear(1, 1).to(device)
    nn.init.constant_(generator.weight, 0.3)
    nn.init.constant_(generator.bias, 5.0)
    return generator


def measure(generator, critics: dict) -> dict[str, float]:
    """The exact W₁ of 2,000 points, and what each critic makes of them."""
    with torch.no_grad():
        x, fake = two_peaks(2000), generator(noise(2000, 1))
        estimates = {
            name: -critic_loss(critic(x), critic(fake)) for name, critic in critics.items()
        }
        exact = wasserstein_1d(x.flatten(), fake.flatten())
        return {"exact W₁": exact.item()} | {name: e.item() for name, e in estimates.items()}

# %%
def watch(generator, critics: dict, rules: list) -> dict[str, list[float]]:
    """Train a generator on the exact W₁ while critics learn to estimate it; the curves."""
    optimizer = torch.optim.SGD(generator.parameters(), 0.05)
    rows = []
    for step in range(-line_sizes.head_start, line_sizes.steps):  # the critics may look first
        for _ in range(line_sizes.critic_steps):
            x, z = two_peaks(256), noise(256, 1)
            for rule in rules:
                rule(x, z)
        if step >= 0:
            if step % line_sizes.every == 0:
                rows.append(measure(generator, critics))
            fake = generator(noise(256, 1))
            optimizer.zero_grad()
            wasserstein_1d(two_peaks(256).flatten(), fake.flatten()).backward()
            optimizer.step()
    return {name: [row[name] for row in rows] for name in rows[0]}

# %% tags=["experiment"]
with experiment("clipped-critics-watch"):
    seed_all(2)
    generator = far_right()
    limits = (0.2, 0.1, 0.05)
    critics = {f"critic, c = {limit}": toy_critic(1, hidden=2) for limit in limits}
    rules = [
        clipped(critic, generator, rmsprop(critic), limit)
        for critic, limit in zip(critics.values(), limits)
    ]
    estimates = watch(generator, critics, rules)
    display(
        show.curves(
            {name: [max(value, 1e-3) for value in values] for name, values in estimates.items()},
            x=range(0, line_sizes.steps, line_sizes.every),
            xlabel="step of the generator",
            ylabel="W₁, or −critic loss",
            title="Clipped critics measure on scales of their own",
            logarithmic=True,
        )
    )
    for name, values in estimates.items():
        ratios = [value / exact for value, exact in zip(values, estimates["exact W₁"])]
        if name == "exact W₁":
            continue
        print(f"{name:>16}: {ratios[0]:.3f} times W₁ at the start, {ratios[-1]:.3f} at the end")

# %% [markdown]
# The estimates rise and fall with $W_1$, so a falling critic loss is a learning curve – something that lab 01 never had. But the
# unit is anybody's guess: halve $c$, and with three layers of weights the scale falls by a factor of six to eight. Nor is the scale quite
# constant, since each critic is only the best of what its box holds. That the curve of $c=0.1$ runs close to the exact one is chance; and with $c=0.2$ the estimate
# is *above* $W_1$, because those critics may be steeper than 1.
#
# ### Question 1 · `what-clipping-bounds` · 3 points · 12 minutes
#
# A critic has two layers without biases, $f(x)=b^\top\,\mathrm{relu}(Ax)$, with $d$ inputs and $h$ hidden units, and all
# weights are clipped to $[-c,c]$.
#
# 1. Which Lipschitz constant $K$ of $f$, in the Euclidean norm, holds for every such critic?
# 2. So how does $\max_f\,(-L_{\text{critic}})$ over these critics compare to $W_1$, and what would it take for it to be *exactly* proportional to $W_1$?
# 3. The generator minimises it all the same. Why does the unknown factor do little harm to the *direction* of its steps?
#
# <details><summary>Hint: norms</summary>
# A matrix stretches no vector by more than its Frobenius norm, the root of the sum of its squared entries. A ReLU is 1-Lipschitz.
# </details>

# %% [markdown] think="what-clipping-bounds" points=3
# Your answer to *what-clipping-bounds*, in three parts: K, the comparison with W₁, and the direction.
#
# ### BEGIN MARK SCHEME
# 1. Clipping bounds each weight, hence the norms of the layers, hence the slope – by a constant that depends on the architecture and on c, not on the
# data. A has spectral norm at most its Frobenius norm, c·√(hd); b has norm at most c·√h; ReLU is 1-Lipschitz. So K = c²·h·√d works (1 point;
# any valid constant with a reason counts, and so does "c to the power of the number of layers, times a number that depends on the widths").
#
# 2. All these critics are K-Lipschitz, so the maximum is at most K·W₁; it is a maximum over a *part* of the K-Lipschitz functions. It is
# proportional to W₁ with the factor K only if the family held, up to additive constants, all K-Lipschitz functions, or at least the best one for each pair of distributions; in general the
# factor is unknown and varies. (1 point for "≤ K·W₁, because only a subset".)
#
# 3. A constant factor scales the generator's gradient and does not turn it; the learning rate absorbs it (and RMSprop divides it out). (1 point)
# ### END MARK SCHEME

# %% [markdown]
# ## 4 · A penalty instead of a box
#
# The best 1-Lipschitz critic has slope exactly 1 almost everywhere along the paths of the cheapest plan. Gulrajani et al.
# (2017) therefore ask for it softly. The cheapest plan is unknown, so random pairs of a real and a fake observation stand in for it. They look at
# the critic's gradient *with respect to its input*, at points between the two of a pair,
#
# $$\hat x=\varepsilon\,x+(1-\varepsilon)\,g(z),\qquad \varepsilon\sim U[0,1]\ \text{for each pair},$$
#
# and add to the critic's loss
#
# $$\lambda\;\mathbb E_{\hat x}\big(\|\nabla_{\hat x}f(\hat x)\|_2-1\big)^2 .$$
#
# ### Exercise 7 · `gradient-penalty` · 5 points · ●●○ · 20 minutes
#
# The norm is that of one observation's gradient, over all its pixels and channels. The penalty will be differentiated
# once more, with respect to the critic's weights. Code that forgets to allow for this runs, prints sensible numbers, and trains a
# critic without any bound: a penalty whose gradient is zero changes nothing.
#
# <details><summary>Hint: the gradient with respect to the input</summary>
# <code>torch.autograd.grad(outputs, inputs)</code> wants one number. Each score depends on its own observation alone, so the
# gradient of the <em>sum</em> of the scores holds each observation's own gradient. (That of their mean is too small by the batch size.)
# The points between are made from data; call <code>requires_grad_()</code> on them before they go into the critic.
# </details>
#
# <details><summary>Hint: differentiating a gradient</summary>
# <code>create_graph=True</code> makes the gradient part of the graph. Without it, the value of the penalty is right and the critic
# learns nothing from it.
# </details>
#
# <details><summary>Hint: shapes</summary>
# eps of shape (batch,) has to be viewed as (batch, 1, 1, 1) for images, (batch, 1) for points: as many ones as x has further axes.
# </details>

# %% exercise="gradient-penalty"
def gradient_penalty(
    critic: nn.Module, real: Tensor, fake: Tensor, eps: Tensor, weight: float
) -> Tensor:
    """Mean squared distance of the critic's slope from 1, between real and fake, times a weight.

    Gulrajani et al., *Improved Training of Wasserstein GANs*, 2017, equation 3.

    Args:
        critic: (batch, …) -> scores (batch,).
        real: shape (batch, …).
        fake: same shape.
        eps: the share of the real observation in each pair, in [0, 1], shape (batch,).
        weight: λ, which multiplies the mean over the pairs.

    Returns:
        A 0-d tensor, differentiable with respect to the critic's parameters.
    """
    ### BEGIN SOLUTION
    eps = eps.view(-1, *[1] * (real.dim() - 1))
    between = (eps * real + (1 - eps) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return weight * (slope.flatten(1).norm(dim=1) - 1).square().mean()
    ### END SOLUTION

# %% test="gradient-penalty" points=5
check("gradient-penalty", gradient_penalty)

# %% [markdown]
# A penalty is a request, not a law. Take a shift by $D$ and a critic of slope $s$: it maximises $sD-\lambda(s-1)^2$, and
# the best slope is
#
# $$s=1+\frac{D}{2\lambda},\qquad\text{so the estimate is}\quad D\Big(1+\frac{D}{2\lambda}\Big)$$
#
# and *above* $W_1=D$. With $\lambda=10$ that is 25 % too much at $D=5$, and 3 % at $D=0.65$.
#
# ### Experiment · The penalised critic watches
#
# The same game as before. **Guess first:** where should the new curve lie, and what will happen to it when the generator has
# arrived?
#
# One detail. A slope of −1 costs as little as one of +1, but to turn from one to the other a critic has to pass through 0,
# where the penalty is $\lambda$. On a line there is no way around. So let the critic find the right side first, with a
# hundredth of the weight for its first 50 steps. (In higher dimensions a gradient can turn without vanishing, and
# the trap is milder.)

# %%
def adam(network: nn.Module, lr: float = 2e-3, betas=(0.0, 0.9)) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr, betas, fused=True)


def penalised(critic, generator, optimizer, weight: float, gentle: int = 0):
    """The learning rule of a penalised critic; `gentle` steps have a hundredth of the weight."""
    weights = chain(repeat(weight / 100, gentle), repeat(weight))

    def learn(x: Tensor, z: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generator(z)
        loss = critic_loss(critic(x), critic(fake))
        eps = torch.rand(len(x), device=x.device)
        objective = loss + gradient_penalty(critic, x, fake, eps, next(weights))
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
        return loss  # without the penalty, so that −loss is the estimate

    return learn

# %% tags=["experiment"]
with experiment("penalised-critic-watches"):
    seed_all(3)
    generator = far_right()
    critic = toy_critic(1, hidden=2)
    rules = [penalised(critic, generator, adam(critic), 10.0, gentle=50)]
    estimates = watch(generator, {"penalised critic, λ = 10": critic}, rules)
    estimates["W₁ (1 + W₁ / 2λ)"] = [w1 * (1 + w1 / 20) for w1 in estimates["exact W₁"]]
    display(
        show.curves(
            estimates,
            x=range(0, line_sizes.steps, line_sizes.every),
            xlabel="step of the generator",
            ylabel="W₁, or −critic loss",
            title="The penalised critic reads in units of W₁",
        )
    )
    fresh = toy_critic(1, hidden=2)
    rule = penalised(fresh, generator, adam(fresh), 10.0, gentle=50)
    for _ in range(3 * line_sizes.steps):
        rule(two_peaks(256), noise(256, 1))
    now = measure(generator, {"the critic": critic, "a fresh critic": fresh})
    print("at the end:", " · ".join(f"{name} {value:.2f}" for name, value in now.items()))

# %% [markdown]
# While the generator has far to go, the estimate is $W_1$ and the excess that the formula predicts. Near the end it falls below: now the
# best critic is a zigzag, and ours, which still climbs in one direction everywhere, would have to turn in places. A fresh critic, which
# starts gently, finds most of what the old one misses. So a penalised critic reads in the right unit, and still
# gives no more than what training has found so far.
#
# Here are both kinds of critic on a blob between the peaks that does not move.

# %% tags=["experiment"]
with experiment("critic-shapes"):
    seed_all(4)
    blob = nn.Linear(1, 1).to(device)
    nn.init.constant_(blob.weight, 0.4)
    nn.init.constant_(blob.bias, -0.25)
    critics = {"penalised": toy_critic(1, hidden=2), "clipped, c = 0.05": toy_critic(1, hidden=2)}
    first, second = critics.values()
    rules = [
        penalised(first, blob, adam(first), 10.0, gentle=50),
        clipped(second, blob, rmsprop(second), 0.05),
    ]
    for _ in range(3 * line_sizes.steps):
        x, z = two_peaks(256), noise(256, 1)
        for rule in rules:
            rule(x, z)
    axis = torch.linspace(-3.5, 3, 200, device=device)
    with torch.no_grad():
        scores = {name: critic(axis[:, None]) for name, critic in critics.items()}
        samples = {"data": two_peaks(4000).flatten(), "generator": blob(noise(4000, 1)).flatten()}
    display(
        show.densities(
            samples,
            {name: values - values.mean() for name, values in scores.items()},
            axis,
            curve_label="f(x)",
            curve_limits=(-3, 3),
            title="The penalised critic has slope 1 where mass has to move",
        )
    )
    found = measure(blob, critics)
    print(" · ".join(f"{name} {value:.2f}" for name, value in found.items()))

# %% [markdown]
# On the left of the blob the penalised critic falls with slope −1, on its right it rises with slope +1: each half of the blob is sent to the peak on its
# own side. The clipped one says the same in a whisper, at about a tenth of the slope.

# %% [markdown]
# ## 5 · Two critics in the plane
#
# Now data that nobody can sort: a ring of eight Gaussians, and a Swiss roll. The fake points are data with noise of standard
# deviation ½ added, and stay that way, so that each critic can be trained to its end. (With $\lambda=1$, since the distances are below 1 and
# a critic should be able to bend.)
#
# **Before you run it:** the critic's level sets are the contour lines that a generator would climb. What should they look
# like for a ring, and what for a spiral?

# %%
plane_sizes = profile(
    smoke=dict(steps=4, deep_steps=2),
    cpu=dict(steps=1000, deep_steps=300),
    full=dict(steps=4000, deep_steps=2000),
)
plane = {"ring": ring().sample, "Swiss roll": swiss_roll}


def spoilt(sample, count: int) -> Tensor:
    """Data with noise of standard deviation ½."""
    return sample(count) + 0.5 * noise(count, 2)


def train_critic(rule, sample, steps: int) -> None:
    """Train a critic on data against spoilt data, which an identity for a generator hands on."""
    for _ in range(steps):
        rule(sample(256), spoilt(sample, 256))

# %% tags=["experiment", "cover"]
with experiment("critics-in-the-plane"):
    seed_all(5)
    trained = {}
    for name, sample in plane.items():
        first, second = toy_critic(2), toy_critic(2)
        train_critic(clipped(first, nn.Identity(), rmsprop(first), 0.1), sample, plane_sizes.steps)
        train_critic(penalised(second, nn.Identity(), adam(second), 1.0), sample, plane_sizes.steps)
        trained[name] = {"clipped, c = 0.1": first, "penalised, λ = 1": second}
        title = f"What the critics make of the {name}"
        display(show.landscape(trained[name], points={"data": sample(400)}, title=title))
    plane_critics = trained

# %% [markdown]
# The clipped critic sees that data are somewhere around the middle, and no more: a box of weights holds mostly simple
# functions. The penalised one sees eight hills, and follows the spiral.
#
# Why? Look at the weights. To be as steep as it may, a clipped critic pushes them to the walls of its box, and many
# end up as $+c$ or $-c$.

# %%
def weights_of(critic) -> list[Tensor]:
    """The weight matrices of a toy critic, from the first layer to the last."""
    return [layer.weight for layer in critic[0] if isinstance(layer, nn.Linear)]

# %% tags=["experiment"]
with experiment("weights-at-the-walls"):
    weights = {
        name: torch.cat([weight.flatten() for weight in weights_of(critic)])
        for name, critic in plane_critics["Swiss roll"].items()
    }
    at_walls = (weights["clipped, c = 0.1"].abs() > 0.099).float().mean()
    print(f"{at_walls:.0%} of the clipped critic's weights lie at ±c")
    display(show.histograms(weights, marks=(-0.1, 0.1), title="The weights of both critics"))

# %% [markdown]
# **Deep critics.** On its way back to the input the gradient passes all layers, and each multiplies it by something that depends on $c$. With ten hidden
# layers it explodes or vanishes, and there is hardly a $c$ in between. The penalty asks for the slope of the
# *whole* network, and the layers settle it among themselves.

# %%
def gradient_norms(critic, x: Tensor, fake: Tensor) -> list[float]:
    """Norm of the critic loss's gradient at the output of each linear layer, the first layer first."""
    values, outputs = torch.cat([x, fake]), []
    for part in critic[0]:
        values = part(values)
        if isinstance(part, nn.Linear):
            outputs.append(values)
    scores = values.flatten()
    loss = critic_loss(scores[: len(x)], scores[len(x) :])
    return [max(g.norm().item(), 1e-12) for g in torch.autograd.grad(loss, outputs)]

# %% tags=["experiment"]
with experiment("gradient-norms"):
    seed_all(6)
    norms = {}
    for limit in (0.3, 0.1, 0.03, None):
        critic = toy_critic(2, hidden=10)
        if limit is None:
            rule = penalised(critic, nn.Identity(), adam(critic), 1.0)
        else:
            rule = clipped(critic, nn.Identity(), rmsprop(critic), limit)
        train_critic(rule, swiss_roll, plane_sizes.deep_steps)
        name = f"c = {limit}" if limit else "penalised"
        norms[name] = gradient_norms(critic, swiss_roll(2000), spoilt(swiss_roll, 2000))
    display(
        show.curves(
            norms,
            xlabel="layer, from the input to the score",
            ylabel="gradient norm",
            title="The gradient on its way back",
            logarithmic=True,
        )
    )

# %% [markdown]
# ## 6 · Taking turns
#
# The better the critic, the better its advice. So it takes several steps for each of the generator's: five in both papers, two or three here, where time is
# short.
#
# ### Exercise 8 · `generator-turns` · 2 points · ●○○ · 5 minutes
#
# On which of all steps of a training does the generator take a turn, too? On every `n_critic`-th, *after* the critic has had
# its `n_critic` steps: the first turn comes with step number `n_critic`, counted from 1.
#
# Much published code says `if i % 5 == 0` inside a loop over the batches of an epoch. That lets the generator move after
# the very first step of a critic that knows nothing, and again at the start of each epoch, because `i` begins anew.

# %% exercise="generator-turns"
def generator_turns(steps: int, n_critic: int) -> list[bool]:
    """Whether the generator takes a turn with each step of the critic.

    Args:
        steps: of the critic, in the whole training.
        n_critic: steps of the critic for one of the generator, at least 1.

    Returns:
        One entry a step: True for every n_critic-th.
    """
    ### BEGIN SOLUTION
    return [(step + 1) % n_critic == 0 for step in range(steps)]
    ### END SOLUTION

# %% test="generator-turns" points=2
check("generator-turns", generator_turns)

# %% [markdown]
# ### Training
#
# The loop is given; read it once. It is the same for points and for images, for clipping and for the penalty: `rule` moves the
# critic, and where it is the generator's turn, that moves too.

# %%
def train_wgan(
    name,
    real,
    generator,
    critic,
    rule,
    optimizers,
    *,
    latent,
    epochs,
    n_critic,
    batch_size=64,
    after_turn=lambda: None,
    validate=None,
):
    """Let a critic and a generator take turns; returns the history.

    `rule` moves the critic, `optimizers` are the generator's and the critic's. Curves go to
    runs/02-wgan/NAME for TensorBoard.
    """
    loader = batches(real, batch_size, drop_last=True, device=device)
    steps = epochs * len(loader)
    turns = iter(generator_turns(steps, n_critic))
    slower = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda turn, last=last: min(1, 2 - 2 * turn / last)
        )
        for optimizer, last in zip(optimizers, (max(1, steps // n_critic), steps))
    ]  # constant for half of the turns, then down to zero

    def step(x: Tensor) -> dict[str, Tensor]:
        metrics = {"estimate": -rule(x, noise(len(x), latent))}
        slower[1].step()
        if next(turns):
            loss = generator_loss(critic(generator(noise(len(x), latent))))
            optimizers[0].zero_grad()
            loss.backward()
            optimizers[0].step()
            slower[0].step()
            metrics["generator"] = loss
            after_turn()
        return metrics

    log = f"runs/02-wgan/{name}"
    return fit(step, loader, epochs=epochs, validate=validate, log=log)

# %% [markdown]
# To watch a training live, open a terminal in this folder and run `tensorboard --logdir runs` (on Colab: `%load_ext
# tensorboard`, then `%tensorboard --logdir runs`).
#
# ### Experiment · Around the ring
#
# Generators at last, on a ring like the one on which lab 01's GAN collapsed. Same networks, same number of steps. **Guess:** how
# many of the eight modes will each reach?

# %%
ring_sizes = profile(
    smoke=dict(points=1024, epochs=1),
    cpu=dict(points=12800, epochs=60),
    full=dict(points=51200, epochs=150),
)

# %% tags=["experiment"]
with experiment("around-the-ring"):
    scores, samples = {}, {}
    points = ring().sample(ring_sizes.points)
    for name in ("clipped", "penalised"):
        seed_all(7)
        generator, critic = mlp(8, 2).to(device), toy_critic(2)
        if name == "clipped":
            optimizers = rmsprop(generator), rmsprop(critic)
            rule = clipped(critic, generator, optimizers[1], 0.05)
        else:
            optimizers = adam(generator), adam(critic)
            rule = penalised(critic, generator, optimizers[1], 1.0)
        networks = generator, critic, rule, optimizers
        sizes = dict(latent=8, epochs=ring_sizes.epochs, n_critic=3, batch_size=256)
        train_wgan(f"ring-{name}", points, *networks, **sizes)
        with torch.no_grad():
            fakes = generator(noise(2000, 8))
        found = mode_coverage(fakes, ring())
        print(f"{name}: {found}")
        panel = f"{name}: {found.modes} of 8 modes"
        scores[panel], samples[panel] = critic, fakes[:300]
    display(
        show.landscape(
            scores,
            points={"data": points[:200]},
            samples=samples,
            arrows=True,
            title="Critic and fakes at the end",
        )
    )

# %% [markdown]
# Arrows show where the critic sends a fake, all on one scale. The penalised critic has built a hill on each mode, and its arrows lead to the
# nearest one. The clipped one draws the ring with a few bends; its fakes have spread over roughly the right region, and its
# arrows are almost too short to see. It is no hopeless case: with a few times as many steps it finds modes, too.

# %% [markdown]
# ## 7 · Digits
#
# Now images: both methods on handwritten digits, with the networks of lab 01's steady game, codes of the same size, and about the same
# time. Three details.
#
# - The critic has *no* batch normalisation, and no spectral normalisation either. The generator may have the first.
# - The pixels are in [0, 1], and a sigmoid ends the generator. Much published code draws with $\tanh$, whose range is
#   [−1, 1], on data in [0, 1]: a critic then needs no idea of digits, a negative pixel is proof enough.
# - Pictures are drawn with an *average* of the generator's weights over its last turns, as in lab 01.
#
# After each epoch the critic's estimate is measured twice on the same fakes: against training images, and against test images
# that it has never seen.

# %%
LATENT = 16
digit_sizes = profile(
    smoke=dict(images=512, epochs=1, n_critic=2, samples=500, memory=0.9),
    cpu=dict(images=6000, epochs=40, n_critic=2, samples=5000, memory=0.995),
    full=dict(images=60000, epochs=60, n_critic=5, samples=10000, memory=0.999),
)
rates = profile(  # full: those of the papers; on a laptop one cannot wait so long
    smoke=dict(rmsprop=5e-4, generator=2e-3, critic=1e-3, betas=(0.0, 0.99)),
    cpu=dict(rmsprop=5e-4, generator=2e-3, critic=1e-3, betas=(0.0, 0.99)),
    full=dict(rmsprop=5e-5, generator=1e-4, critic=1e-4, betas=(0.5, 0.9)),
)
digits, test_digits = load("mnist", count=digit_sizes.images)
held_out = test_digits.images[: digit_sizes.samples // 5].to(device)


def digit_networks() -> tuple[nn.Module, nn.Module]:
    """A new generator and a new critic."""
    return mlp_generator(LATENT).to(device), mlp_discriminator(spectral=False).to(device)


def play_on_digits(name, generator, critic, rule, optimizers):
    """One training on digits; returns the averaged generator after each epoch, and the history."""
    average = AveragedModel(
        generator, multi_avg_fn=get_ema_multi_avg_fn(digit_sizes.memory), use_buffers=True
    )
    seen = digits.images[: len(held_out)].to(device)
    film = []

    @torch.no_grad()
    def estimates() -> dict[str, Tensor]:
        film.append(copy.deepcopy(average.module).eval())
        generator.eval()
        fake_scores = critic(generator(noise(1000, LATENT)))
        generator.train()
        return {
            "training images": -critic_loss(critic(seen), fake_scores),
            "test images": -critic_loss(critic(held_out), fake_scores),
        }

    history = train_wgan(
        name,
        digits,
        generator,
        critic,
        rule,
        optimizers,
        latent=LATENT,
        epochs=digit_sizes.epochs,
        n_critic=digit_sizes.n_critic,
        after_turn=lambda: average.update_parameters(generator),
        validate=estimates,
    )
    return film, history

# %% tags=["experiment"]
with experiment("digits-clipped"):
    seed_all(8)
    generator, critic = digit_networks()
    optimizers = rmsprop(generator, rates.rmsprop), rmsprop(critic, rates.rmsprop)
    rule = clipped(critic, generator, optimizers[1], 0.01)
    clipped_film, history = play_on_digits("clipped", generator, critic, rule, optimizers)
    display(
        history.plot(
            "training images",
            "test images",
            ylabel="estimate, −critic loss",
            title="Clipped: the estimate, in an unknown unit",
        )
    )

# %% tags=["experiment"]
with experiment("digits-penalised"):
    seed_all(9)
    generator, critic = digit_networks()
    optimizers = (
        adam(generator, rates.generator, rates.betas),
        adam(critic, rates.critic, rates.betas),
    )
    rule = penalised(critic, generator, optimizers[1], 10.0)
    penalised_film, history = play_on_digits("penalised", generator, critic, rule, optimizers)
    display(
        history.plot(
            "training images",
            "test images",
            ylabel="estimate, −critic loss",
            title="Penalised: the estimate, in the units of the pixels",
        )
    )

# %% [markdown]
# Look at the direction of the lines, and at the gap between them, before you go on; we come back to both.
#
# **How good are they?** Three generators on the same codes. The third is *given*: `load_generator("wgan-gp")` has played the
# penalised game for longer, with the 60,000 digits of the complete MNIST. Beside the pictures stands what can be counted over thousands of
# samples, as in lab 01:
#
# - how many of them a classifier of digits is more than 90 % sure of, as it is of nearly all real ones, and how many classes occur;
# - the Fréchet distance (FID) between what the classifier's last layer sees of real test digits and of samples, on equally many of
#   each, with a 95 % interval. Small is good; the line of real digits is the floor.

# %%
@torch.no_grad()
def draw(generator, z: Tensor) -> Tensor:
    """Images of many codes, on the CPU."""
    return torch.cat([generator(part.to(device)).cpu() for part in z.split(1000)])


def report(name: str, images: Tensor):
    """How many images the ready classifier recognises, of how many classes, and the FID."""
    found = recognised(images)
    print(f"{name}: {found} · FID {frechet_distance(held_out.cpu(), images)}")
    return found

# %% tags=["experiment"]
with experiment("digits-side-by-side"):
    seed_all(10)
    z = torch.randn(digit_sizes.samples, LATENT)
    generators = {
        "Clipped": clipped_film[-1],
        "Penalised": penalised_film[-1],
        "Penalised, longer training": load_generator("wgan-gp"),
    }
    digit_counts = {}
    for name, generator in generators.items():
        images = draw(generator, z)
        digit_counts[name] = report(name, images)
        title = f"{name}: {digit_counts[name].share:.0%} recognised"
        display(show.grid(images[:48], columns=12, title=title))
    report("Real training digits", digits.images[: digit_sizes.samples])

# %% tags=["experiment"]
with experiment("which-digits-does-it-draw"):
    shares = {
        name: [100 * count / digit_sizes.samples for count in seen.counts]
        for name, seen in digit_counts.items()
    }
    display(
        show.bars(
            shares,
            ticks=range(10),
            xlabel="recognised as",
            ylabel="% of the samples",
            title="Which digits are drawn",
        )
    )

# %% [markdown]
# All ten digits are drawn by all three; the clipped generator neglects some.
#
# ### Experiment · One instrument for all
#
# Did the estimates fall while the samples got better? The penalised one's did for some epochs, and then hardly. It is worth
# knowing why. Our critic takes two steps for each of the generator's, with rates that fall to zero in the second half. As they
# fall, the *critic* gets better, and a better critic finds more of the distance that is left. The papers train the critic for
# longer and get smoother curves. On a laptop we save just there, and the loss shows the race more than the distance.
#
# To compare generators, take one instrument for all: for each of them a *new* critic, trained equally long, and its estimate on test
# images. **Guess:** what will the bars look like?

# %%
fresh_sizes = profile(
    smoke=dict(steps=4, every=2),
    cpu=dict(steps=400, every=20),
    full=dict(steps=4000, every=100),
)


def fresh_critic(generator, images: Tensor) -> dict[str, list[float]]:
    """What a new critic that trains on some images estimates, from them and from test images."""
    critic = digit_networks()[1]
    rule = penalised(critic, generator, adam(critic, 5e-4), 10.0)
    found = {"own": [], "test": []}
    for step in range(1, fresh_sizes.steps + 1):
        chosen = torch.randint(len(images), (64,), device=device)
        rule(images[chosen], noise(64, LATENT))
        if step % fresh_sizes.every == 0:
            with torch.no_grad():
                fake_scores = critic(generator(noise(1000, LATENT)))
                for name, real in {"own": images[:1000], "test": held_out}.items():
                    found[name].append(-critic_loss(critic(real), fake_scores).item())
    return found

# %% tags=["experiment"]
with experiment("one-instrument"):
    seed_all(11)
    images = digits.images.to(device)
    last = len(penalised_film)
    generators = {
        f"epoch {epoch}": penalised_film[epoch - 1]
        for epoch in sorted({1 + last // 10, 1 + last // 3, last})
    }
    generators |= {"longer": load_generator("wgan-gp"), "clipped": clipped_film[-1]}
    measured = {name: fresh_critic(generator, images) for name, generator in generators.items()}
    display(
        show.bars(
            {"estimate": [found["test"][-1] for found in measured.values()]},
            ticks=list(measured),
            xlabel="generator",
            ylabel="estimate on test images",
            title="What new, equally trained critics find",
        )
    )

# %% [markdown]
# With one instrument for all the distance does fall from epoch to epoch, and the clipped generator, whose own critic speaks in another
# unit, finds its place beside the others.
#
# ### Experiment · A critic that learns by heart
#
# Is the estimate a distance from *digits*, or from *these* digits? One more critic against your penalised generator, but this one
# gets 100 training images and no more. Each is measured on images that it trained on, and on test images. **Guess first**, all
# four lines.

# %% tags=["experiment"]
with experiment("critic-by-heart"):
    many = measured[f"epoch {len(penalised_film)}"]
    few = fresh_critic(penalised_film[-1], digits.images[:100].to(device))
    lines = {
        "100 images: on them": few["own"],
        "all images: on them": many["own"],
        "all images: on test images": many["test"],
        "100 images: on test images": few["test"],
    }
    display(
        show.curves(
            lines,
            x=range(fresh_sizes.every, fresh_sizes.steps + 1, fresh_sizes.every),
            xlabel="step of the critic",
            ylabel="estimate, −critic loss",
            title="A critic that learns 100 images by heart",
        )
    )

# %% [markdown]
# With 100 images the critic puts a hill on each of them, and its estimate keeps rising: it is right, the distance from
# those 100 points *is* large. Of images that it does not know, it learns little. A generator that climbs such hills is
# sent to the training images. In the penalised training above the gap was small, but it grew. So a critic's loss deserves what every loss
# deserves: a look at held-out data.
#
# ### Question 2 · `no-batch-norm` · 2 points · 6 minutes
#
# A student puts `BatchNorm1d` into the critic because it helps everywhere else. With clipping it trains. With the gradient
# penalty the samples get worse, though `gradient_penalty` passed its check. Why – what does the penalty penalise now – and what could the student use instead?

# %% [markdown] think="no-batch-norm" points=2
# Your answer to *no-batch-norm*: what does the penalty then penalise, and what could the student use instead?
#
# ### BEGIN MARK SCHEME
# The penalty is meant for the slope of one function f at each x̂. With batch normalisation (in train mode) the score of one observation depends on the others in the batch: there is no
# f(x) of one observation, and the gradient of the *sum* of scores with respect to x̂_i contains what x̂_i does to all other scores. So the norm is not that of ∂f(x̂_i)/∂x̂_i,
# and the statistics differ between the batches of real, fake and mixed observations besides. (1 point for "the scores of a batch are coupled, so the gradient is not
# each observation's own".)
#
# Layer normalisation, instance or group normalisation, weight/spectral normalisation, or none: anything that treats each observation by itself. (1 point.) "Eval mode" alone is
# worth the point only with the remark that the running statistics are then those of some mixture of batches.
# ### END MARK SCHEME

# %% [markdown]
# ## 8 · Challenge: the cheapest plan itself
#
# Two heaps on finitely many places: mass $p_i$ at $n$ places, mass $q_j$ wanted at $m$ places, and $C_{ij}$ is what it costs to carry
# one unit from $i$ to $j$. A **plan** $T_{ij}\ge0$ says how much goes where. Its rows have to add up to $p$ and its columns
# to $q$, and
#
# $$W(p,q)=\min_{T\ge0}\ \sum_{ij}C_{ij}T_{ij}\qquad\text{with}\quad\sum_jT_{ij}=p_i,\quad\sum_iT_{ij}=q_j .$$
#
# Objective and constraints are linear: a *linear program*, with $nm$ unknowns. Duality, on which all of this lab rests, is the duality of linear
# programs: the critic's scores are the prices of the $n+m$ constraints.
#
# ### Exercise 9 · `wasserstein-discrete` · 2 bonus points · ●●● · 25 minutes
#
# Any exact solver will do. (Sinkhorn's algorithm, which blurs the plan to be fast, is not exact.) Where the solver gives numpy arrays, return
# tensors.
#
# <details><summary>Hint: a solver</summary>
# <code>scipy.optimize.linprog(c, A_eq=…, b_eq=…)</code> minimises c·t over t ≥ 0 with A t = b. Let t be the plan, flattened.
# </details>
#
# <details><summary>Hint: the constraints</summary>
# n + m rows of n·m numbers, all 0 or 1. Row i of the first n picks the entries of row i of the plan; <code>torch.kron</code>
# of an identity with a row of ones makes all of them at once. For the columns of the plan the two change places.
# </details>

# %% exercise="wasserstein-discrete"
def wasserstein_discrete(p: Tensor, q: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """The cheapest way to turn p into q.

    Args:
        p: mass at each of n places, shape (n,), ≥ 0.
        q: mass at each of m places, shape (m,), ≥ 0, with the same sum.
        cost: of moving one unit from place i to place j, shape (n, m).

    Returns:
        (value, plan): the least cost and what goes where, shape (n, m).
    """
    ### BEGIN SOLUTION
    from scipy.optimize import linprog

    n, m = cost.shape
    rows = torch.kron(torch.eye(n), torch.ones(1, m))
    columns = torch.kron(torch.ones(1, n), torch.eye(m))
    constraints = torch.cat([rows, columns]).numpy()
    masses = torch.cat([p, q]).double().numpy()
    solved = linprog(cost.flatten().double().numpy(), A_eq=constraints, b_eq=masses)
    plan = torch.from_numpy(solved.x).view(n, m).to(cost.dtype)
    return (cost * plan).sum(), plan
    ### END SOLUTION

# %% test="wasserstein-discrete" points=2
check("wasserstein-discrete", wasserstein_discrete)

# %% [markdown]
# **Carrying ink.** A digit is a heap of ink. Its cheapest plan to another digit can be stopped halfway: every grain has then done
# a part of its way. That is what "between" means to a Wasserstein distance. To a distance that compares pixel by pixel it means a
# fade. (The cost is the *squared* distance here, which prefers many short ways to a few long ones.)

# %%
def heap(image: Tensor) -> tuple[Tensor, Tensor]:
    """Where an image's ink is, shape (n, 2), and its share of the ink, (n,); half the resolution."""
    ink = F.avg_pool2d(image, 2)[0].double()
    places = (ink > 0.1).nonzero()
    mass = ink[ink > 0.1]
    return 2 * places.double() + 0.5, mass / mass.sum()


def picture(places: Tensor, mass: Tensor) -> Tensor:
    """Grains of ink as an image, (1, 28, 28)."""
    pixels = torch.cartesian_prod(torch.arange(28.0), torch.arange(28.0)).double()
    drops = torch.exp(-torch.cdist(pixels, places).square() / 3)
    ink = (drops @ mass).view(1, 28, 28).float()
    return ink / ink.max()

# %% tags=["experiment"]
with experiment("carrying-ink"):
    shares = torch.linspace(0, 1, 9).tolist()
    first_of = {d: int((test_digits.labels == d).nonzero()[0]) for d in range(10)}
    strips = []
    for start, end in ((3, 8), (1, 7), (0, 4)):
        images = test_digits.images[[first_of[start], first_of[end]]]
        (places, p), (targets, q) = heap(images[0]), heap(images[1])
        value, plan = wasserstein_discrete(p, q, torch.cdist(places, targets).square())
        i, j = plan.nonzero(as_tuple=True)
        way = [places[i] + share * (targets[j] - places[i]) for share in shares]
        strips.append(torch.stack([picture(grains, plan[i, j]) for grains in way]))
        strips.append(torch.stack([(1 - t) * strips[-1][0] + t * strips[-1][-1] for t in shares]))
        print(
            f"from {start} to {end}: the ink travels {value.sqrt():.2f} pixels (root mean square)"
        )
    display(
        show.traversal(
            torch.stack(strips),
            row_labels=["carried", "faded"] * 3,
            column_labels=[f"{share:.0%}" for share in shares],
            title="Halfway between two digits",
        )
    )

# %% [markdown]
# Carried ink has one shape at any time, which moves: the 0 is pulled open and becomes a 4. Faded ink is two shapes, one over the other. A generator that is
# trained on pixels' differences alone gets no push towards where the ink should go; one that is trained on $W_1$ does.
#
# ## Summary
#
# - $W_1$ is what the cheapest plan costs. It knows how far apart two distributions are even where they do not meet; JSD and
#   KL do not.
# - The critic maximises a gap of mean scores, which is a lower bound of $W_1$ as long as its slope is at most 1. The generator minimises it.
# - Clipping bounds the weights. The slope is then bounded by an unknown constant, and the estimate is $W_1$ on an unknown scale
#   at best; weights pile up at the walls, deep critics explode or vanish.
# - The penalty asks for slope 1 between real and fake. On a shift the estimate is $W_1(1+W_1/2\lambda)$: a request, not a law.
# - A critic's loss is a learning curve – if the critic keeps up, and on images that it has not learned by heart.
#
# ## Going further
#
# - Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, 2018: divide each layer by its largest singular value; no
#   clipping, no second derivative.
# - Bonneel et al., *Sliced and Radon Wasserstein Barycenters of Measures*, 2015; Deshpande, Zhang & Schwing, *Generative Modeling
#   using the Sliced Wasserstein Distance*, 2018: project on random lines, and use your `wasserstein_1d` on each.
# - Cuturi, *Sinkhorn Distances*, 2013; Peyré & Cuturi, *Computational Optimal Transport*, 2019: blur the plan a little and solve it in
#   milliseconds.
# - Petzka, Fischer & Lukovnikov, *On the Regularization of Wasserstein GANs*, 2018: penalise only slopes above 1, for the reason that you met on the
#   line.
# - Stanczuk et al., *Wasserstein GANs Work Because They Fail (to Approximate the Wasserstein Distance)*, 2021.
