# %% [markdown]
# # Lab 06 · Particle EM
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({{colab}}/course/06-particle-em/06-particle-em.ipynb)
#
# A VAE learns to guess an image's code at a glance. This lab does without the guesser: every image keeps a small cloud of *particles*,
# its own candidates for the code, and they move downhill while the model learns from them. That is EM, with a handful of points in
# place of a distribution. You will take it apart on a model where everything can be computed, then train a generator of digits
# with it, fill in what a mask hides, and draw new ones. It takes about two hours.
#
# **After this lab you can**
#
# - read EM as the minimisation of one free energy over the parameters θ *and* a distribution q;
# - run it with a cloud of particles, and say where the step size and the number of particles bias the result;
# - train a generator without an encoder, beside three rivals on the same budget;
# - fill in missing pixels, more than once, and show where the answers differ.
#
# **It builds on** lab 03 (latent variables, the ELBO). You need no code from there.
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
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from lvmlib import EarlyStopping, batches, check, experiment, fit, load, profile, seed_all, show
from lvmlib import masks, mixtures
from lvmlib.fit import clip_gradients
from lvmlib.measure import frechet_distance
from lvmlib.networks import ConvolutionalEncoder
from lvmlib.particles import ParticleCloud
from lvmlib.residual import CompactGenerator, ResidualGenerator

device = profile.device

# %% [markdown]
# ## Conventions
#
# | In the text | In the code | Meaning |
# |---|---|---|
# | $x$ | `x` | an observation; in sections 1 to 3 the $D$ numbers of the toy model, `(D,)`; later images, `(batch, channels, height, width)` in [0, 1] |
# | $z$ | `z` | its latents; in the toy model $N$ particles side by side, `(D, N)`; later clouds, `(images, particles, latent)` |
# | $\theta$ | `theta` | the parameters; in the toy model one number, a tensor without axes |
# | $h$ | `step_size` | the step size, of the particles and, in the toy model, of θ |
# | $\xi$ | `noise` | standard normal noise of the shape of `z` |
# | $\sigma^2$ | `variance` | of a pixel around what the generator draws |

# %% [markdown]
# ## 1 · One free energy, two ways down
#
# Let $q$ be any distribution over the latents. Lab 03's ELBO, with its sign changed, is the **free energy**
#
# $$\mathcal F(\theta,q)=\mathbb E_{q(z)}\big[\log q(z)-\log p_\theta(x,z)\big]=\mathrm{KL}\big(q(z)\,\|\,p_\theta(z\mid x)\big)-\log p_\theta(x).$$
#
# Minimise it over $q$ with θ fixed, and $q$ is the posterior: the **E step**. Minimise it over θ with $q$ fixed: the **M step**. EM does the one, then the
# other (Neal & Hinton, 1998). But who says that we must take turns, or go all the way? We can go down in both at once, a little at a time. For θ that is
# gradient descent. For $q$ it is a gradient descent as well, in the geometry of optimal transport, and it has a familiar face: draw points from $q$ and let each of them
# follow **Langevin dynamics**. With $N$ points $z_1,\dots,z_N$ in place of $q$ this is *particle gradient descent*, PGD (Kuntz, Lim & Johansen, 2023):
#
# $$\theta\leftarrow\theta+\frac hN\sum_{n=1}^N\nabla_\theta\log p_\theta(x,z_n),\qquad
# z_n\leftarrow z_n+h\,\nabla_z\log p_\theta(x,z_n)+\sqrt{2h}\,\xi_n .$$
#
# **The toy model**, on which all of this can be checked with pen and paper: one unknown θ, and for each of $D$ observations a latent of its own,
#
# $$z_d\sim\mathcal N(\theta,1),\qquad x_d\mid z_d\sim\mathcal N(z_d,1),\qquad
# \log p_\theta(x,z)=-\tfrac12\sum_d\left[(z_d-\theta)^2+(x_d-z_d)^2\right]+\text{const}.$$
#
# Integrate $z$ out, and $x_d\sim\mathcal N(\theta,2)$: the likelihood is largest at $\theta=\bar x$, the mean of the data. And the posterior of
# $z_d$ is $\mathcal N\big(\frac{x_d+\theta}2,\frac12\big)$.
#
# ### Exercise 1 · `grad-theta` · 1 point · ●○○ · 4 minutes
#
# The gradient in θ of the toy model's log-joint, for each particle on its own. By hand or with autograd, as you like.

# %% exercise="grad-theta"
def grad_theta(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """Gradient of the toy model's log p(x, z) in θ, for each particle.

    Args:
        theta: θ, shape ().
        z: particles, shape (D, N): column n is particle n.
        x: observations, shape (D,).

    Returns:
        One number a particle, shape (N,).
    """
    ### BEGIN SOLUTION
    return (z - theta).sum(0)
    ### END SOLUTION

# %% test="grad-theta" points=1
check("grad-theta", grad_theta)

# %% [markdown]
# ### Exercise 2 · `grad-particles` · 1 point · ●○○ · 4 minutes
#
# The gradient in $z$, again for each particle on its own. Two things pull at a latent: its observation, and the prior.

# %% exercise="grad-particles"
def grad_particles(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """Gradient of the toy model's log p(x, z) in z, for each particle.

    Args:
        theta: θ, shape ().
        z: particles, shape (D, N).
        x: observations, shape (D,).

    Returns:
        Shape (D, N).
    """
    ### BEGIN SOLUTION
    return (theta - z) + (x[:, None] - z)
    ### END SOLUTION

# %% test="grad-particles" points=1
check("grad-particles", grad_particles)

# %% [markdown]
# ### Exercise 3 · `pgd-step` · 2 points · ●○○ · 8 minutes
#
# Both formulas of PGD, and both from the *old* θ and the *old* particles. The noise is given.
#
# <details><summary>Hint: how far is a step?</summary>
# θ follows the average of its gradient over the particles; your <code>grad_theta</code> has already summed over d, and that sum stays a sum.
# </details>
#
# <details><summary>Hint: the noise</summary>
# Gradients are multiplied by h, noise by √(2h): noise of variance 2h is what keeps the cloud from collapsing to a point.
# </details>

# %% exercise="pgd-step"
def pgd_step(
    theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of particle gradient descent on the toy model. Kuntz, Lim & Johansen, 2023, equations 12 and 13.

    Args:
        theta: θ, shape ().
        z: particles, shape (D, N); they stay as they are.
        x: observations, shape (D,).
        step_size: h, of θ and of the particles.
        noise: standard normal, shape (D, N).

    Returns:
        The new θ, shape (), and the new particles, shape (D, N).
    """
    ### BEGIN SOLUTION
    theta_gradient = grad_theta(theta, z, x).mean()
    z_gradient = grad_particles(theta, z, x)
    return theta + step_size * theta_gradient, z + step_size * z_gradient + math.sqrt(
        2 * step_size
    ) * noise
    ### END SOLUTION

# %% test="pgd-step" points=2
check("pgd-step", pgd_step)

# %% [markdown]
# ### Experiment · Two ways down
#
# One observation, one particle, no noise. Then there are two numbers: θ and the particle $m$, the middle of a $q=\mathcal N(m,\frac12)$, and the
# free energy is a bowl over the plane. EM goes down it like a rook, PGD like water.

# %%
def em_path(theta: float, m: float, x: float, turns: int) -> Tensor:
    """(θ, m) after every half turn of EM on the toy model, shape (2·turns + 1, 2)."""
    path = [(theta, m)]
    for _ in range(turns):
        m = (x + theta) / 2
        path.append((theta, m))
        theta = m
        path.append((theta, m))
    return torch.tensor(path)


def quiet_path(theta: float, m: float, x: float, step_size: float, steps: int) -> Tensor:
    """(θ, m) along your PGD with one particle and without noise, shape (steps + 1, 2)."""
    state, z, data = torch.tensor(theta), torch.tensor([[m]]), torch.tensor([x])
    path = [(theta, m)]
    for _ in range(steps):
        state, z = pgd_step(state, z, data, step_size, torch.zeros_like(z))
        path.append((state.item(), z.item()))
    return torch.tensor(path)

# %% tags=["experiment"]
with experiment("two-ways-down"):

    def free_energy(points: Tensor) -> Tensor:
        theta, m = points.T
        return 0.5 * (m - theta).square() + 0.5 * (1.5 - m).square()

    paths = {
        "EM, turn by turn": em_path(-2.5, 2.5, 1.5, turns=12),
        "PGD, h = 0.1": quiet_path(-2.5, 2.5, 1.5, step_size=0.1, steps=100),
    }
    figure = show.landscape(
        dict.fromkeys(paths, free_energy),
        xlabel="θ",
        ylabel="m",
        limits=(0, 28),
        label="free energy − its minimum, nats",
        title="Two ways down one free energy",
        alt="Two panels with the same oval bowl over θ and m, lowest at 1.5, 1.5. EM's path is a staircase of vertical and "
        "horizontal pieces; PGD's is a smooth curve that ends at the same point.",
    )
    for axes, path in zip(figure.axes, paths.values()):
        axes.plot(*path.T, "o-", color="black", markersize=3, linewidth=1)
        axes.plot(1.5, 1.5, "*", color="white", markeredgecolor="black", markersize=14)
    display(figure)

# %% [markdown]
# A vertical piece of the staircase is an E step, a horizontal one an M step; each goes to the lowest point on its line. PGD takes the direct way. Both
# end at $\theta=m=x$, and nobody has computed a posterior on the right.

# %% [markdown]
# ## 2 · How large a step?
#
# Without noise, only θ and the particles' mean over everything, $m$, matter for where θ goes. Average the two formulas:
#
# $$\begin{pmatrix}\theta\\m\end{pmatrix}\leftarrow
# \begin{pmatrix}\theta\\m\end{pmatrix}-h\underbrace{\begin{pmatrix}D&-D\\-1&2\end{pmatrix}}_{A}\begin{pmatrix}\theta\\m\end{pmatrix}
# +\begin{pmatrix}0\\h\bar x\end{pmatrix}.$$
#
# The distance from the fixed point $\theta=m=\bar x$ is multiplied by $I-hA$ in every step. It shrinks if, and only if, both eigenvalues of $I-hA$ lie between −1 and 1.
#
# ### Exercise 4 · `stable-step` · 1 point · ●○○ · 8 minutes
#
# From which step size on does PGD blow up?
#
# <details><summary>Hint: the eigenvalues of A</summary>
# They solve λ² − (D + 2) λ + D = 0. Both are real and positive, so all h are allowed up to the one at which the larger eigenvalue gives 1 − hλ = −1.
# </details>

# %% exercise="stable-step"
def max_stable_step(dims: int) -> float:
    """Largest step size of PGD on the toy model; with any larger one θ and the particles run away.

    Args:
        dims: D, the number of observations.

    Returns:
        The step size at which one eigenvalue of I − hA is exactly −1.
    """
    ### BEGIN SOLUTION
    return 4 / (dims + 2 + math.sqrt(dims**2 + 4))
    ### END SOLUTION

# %% test="stable-step" points=1
check("stable-step", max_stable_step)

# %% [markdown]
# ### Experiment · Before it blows up
#
# By how much does your PGD change the distance from the optimum in a step? Measured over 400 steps without noise, dots; and the larger |eigenvalue| of
# $I-hA$, lines. **Before you run it, guess:** which $h$ is fastest, and how fast is it for $D=100$?

# %%
def predicted_factor(dims: int, step_size: float) -> float:
    """The larger |eigenvalue| of I − hA."""
    a = torch.tensor([[dims, -dims], [-1, 2]], dtype=torch.float64)
    return torch.linalg.eigvals(torch.eye(2) - step_size * a).abs().max().item()


def measured_factor(dims: int, step_size: float, steps: int = 400) -> float:
    """By what your PGD multiplies the distance from θ = 0 in a step, once it has settled into its slowest direction."""
    theta, z = torch.tensor(1.0, dtype=torch.float64), torch.ones(dims, 1, dtype=torch.float64)
    x, nothing = torch.zeros(dims, dtype=torch.float64), torch.zeros_like(z)
    growth = []
    for _ in range(steps):
        theta, z = pgd_step(theta, z, x, step_size, nothing)
        distance = math.hypot(theta, z.mean())
        growth.append(math.log(distance))
        theta, z = theta / distance, z / distance
    return math.exp(sum(growth[steps // 2 :]) / (steps - steps // 2))

# %% tags=["experiment"]
with experiment("before-it-blows-up"):
    fractions = torch.linspace(0.02, 1.3, 129).tolist()
    few = fractions[4::8]
    lines = {
        f"D = {dims}": [
            predicted_factor(dims, share * max_stable_step(dims)) for share in fractions
        ]
        for dims in (1, 10, 100)
    }
    figure = show.curves(
        lines,
        x=fractions,
        xlabel="step size h, as a share of the largest stable one",
        ylabel="distance after a step / before",
        title="Predicted (lines) and measured (dots): above 1 it blows up",
        alt="Factor per step over the step size for D = 1, 10 and 100. All fall slowly from near 1, turn sharply close to the "
        "limit and cross 1 exactly at it. The larger D is, the closer to 1 the lowest point: about 0.75, 0.85 and 0.98. Dots lie on the lines.",
    )
    axes = figure.axes[0]
    for dims in (1, 10, 100):
        dots = [measured_factor(dims, share * max_stable_step(dims)) for share in few]
        axes.plot(few, dots, "o", color="black", markersize=3)
    axes.axvline(1, color="grey", linewidth=1)
    axes.axhline(1, color="grey", linewidth=1)
    display(figure)
    best = {dims: predicted_factor(dims, 2 / (dims + 2)) for dims in (1, 10, 100)}
    print(
        "at best, a step leaves",
        ", ".join(f"{100 * left:.0f} % (D = {dims})" for dims, left in best.items()),
        "of the distance",
    )

# %% [markdown]
# All three cross 1 at their largest stable step, as you computed. Fastest is a slightly smaller one, $2/(D+2)$, where both eigenvalues are equally bad. With $D=100$ even that
# leaves 98 % of the distance in each step, when an EM turn leaves half: θ feels the pull of a hundred latents at once and so forces a tiny step on all of them. Keep this in mind: **θ and the particles want
# different step sizes.** Section 4 does something about it.

# %% [markdown]
# ## 3 · A cloud
#
# Now with noise, and with more than one particle.
#
# ### Exercise 5 · `pgd-run` · 4 points · ●●○ · 12 minutes
#
# The whole algorithm. Where it starts is up to you; θ = 0 and standard normal particles will do. Every particle and every dimension gets noise of its own in every step.
#
# <details><summary>Hint: noise from a generator</summary>
# <code>torch.randn(len(x), particles, generator=generator, dtype=x.dtype)</code> draws it, anew in every step.
# </details>
#
# <details><summary>Hint: what to record</summary>
# After each step the new θ: <code>steps</code> values, the start not among them. <code>torch.stack</code> makes a tensor of a list of them.
# </details>

# %% exercise="pgd-run"
def pgd_run(
    x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Particle gradient descent on the toy model.

    Args:
        x: observations, shape (D,).
        step_size: h.
        steps: how many.
        particles: N.
        generator: where all random numbers come from.

    Returns:
        θ after each step, shape (steps,), and the last particles, shape (D, N).
    """

    ### BEGIN SOLUTION
    def noise() -> Tensor:
        return torch.randn(len(x), particles, generator=generator, dtype=x.dtype)

    theta, z = x.new_zeros(()), noise()
    path = []
    for _ in range(steps):
        theta, z = pgd_step(theta, z, x, step_size, noise())
        path.append(theta)
    return torch.stack(path), z
    ### END SOLUTION

# %% test="pgd-run" points=4
check("pgd-run", pgd_run)

# %% [markdown]
# ### Experiment · Paths of θ
#
# Ten observations, 1, 10 and 100 particles, three step sizes: a small one, a larger one, and one just over the limit.

# %%
toy = profile(
    smoke=dict(steps=200, long=500, cloud=300),
    cpu=dict(steps=1000, long=6000, cloud=5000),
    full=dict(steps=1000, long=10_000, cloud=20_000),
)
D = 10
x_toy = 1 + math.sqrt(2) * torch.randn(D, generator=seed_all(1), dtype=torch.float64)
best_theta = x_toy.mean().item()

# %% tags=["experiment"]
with experiment("paths-of-theta"):
    for share in (0.05, 0.5, 1.1):
        h = share * max_stable_step(D)
        runs_away = share > 1
        steps = 40 if runs_away else toy.steps
        paths = {
            f"N = {particles}": pgd_run(x_toy, h, steps, particles, seed_all(2))[0].tolist()
            for particles in (1, 10, 100)
        }
        figure = show.curves(
            paths,
            xlabel="step",
            ylabel="θ",
            title=f"h = {h:.3f}, {share:g} of the largest stable step",
            alt=f"θ over {steps} steps with 1, 10 and 100 particles at {share:g} of the largest stable step: "
            + (
                "it swings ever more widely."
                if runs_away
                else "all settle around the mean of the data, the fewer particles the more noisily."
            ),
        )
        figure.axes[0].axhline(best_theta, color="black", linewidth=1, linestyle=":")
        if runs_away:
            figure.axes[0].set_yscale("symlog")
        display(figure)

# %% [markdown]
# The dotted line is the maximum of the likelihood, $\bar x$. With any number of particles θ finds it and then trembles around it, less with more particles. A smaller step makes the trembling slower, but not
# much smaller! Over the limit, θ swings to both sides, farther each time; more particles do not help.
#
# ### Experiment · What theory predicts
#
# Where does it tremble, and how widely? The toy model is linear and its noise Gaussian, so both have exact answers.
#
# - **θ.** Write the noise into the equation for $(\theta,m)$. In the long run the covariance $S$ of the pair solves $S=(I-hA)\,S\,(I-hA)^\top+Q$, where $Q$ has the one entry $2h/(DN)$, the
#   variance of the noise in $m$. That is a *Lyapunov equation*. (For $h\to0$ it gives $\mathrm{Var}\,\theta=\frac1{N(D+2)}$, which is not 0.)
# - **The cloud.** Around its mean each particle obeys $z\leftarrow(1-2h)\,z+\sqrt{2h}\,\xi$. In the long run its variance $v$ solves $v=(1-2h)^2v+2h$, so
#   $v=\frac1{2(1-h)}$, and the posterior's is $\frac12$.

# %%
def predicted_variance(dims: int, particles: int, step_size: float) -> float:
    """Variance of θ in the long run, from the Lyapunov equation."""
    from scipy.linalg import solve_discrete_lyapunov

    step = torch.eye(2) - step_size * torch.tensor([[dims, -dims], [-1.0, 2]])
    noise = torch.diag(torch.tensor([0, 2 * step_size / (dims * particles)]))
    return solve_discrete_lyapunov(step.double().numpy(), noise.double().numpy())[0, 0]


def measured_variance(particles: int, step_size: float) -> float:
    """Mean square of θ − mean(x) over a long run of your PGD, its first tenth left out."""
    path, _ = pgd_run(x_toy, step_size, toy.long, particles, seed_all(3))
    return (path[toy.long // 10 :] - best_theta).square().mean().item()

# %% tags=["experiment"]
with experiment("what-theory-predicts"):
    fine = torch.linspace(0.01, 0.97, 49).tolist()
    few = fine[6::7]
    limit = max_stable_step(D)
    figure = show.curves(
        {
            f"N = {n}": [predicted_variance(D, n, share * limit) for share in fine]
            for n in (1, 10, 100)
        },
        x=fine,
        xlabel="step size h, as a share of the largest stable one",
        ylabel="variance of θ",
        title="How widely θ trembles: predicted (lines), measured (dots)",
        alt="Variance of θ over the step size for 1, 10 and 100 particles on a logarithmic axis: three parallel lines a factor of 10 "
        "apart, nearly level, that rise near the limit. Dots lie on the lines or, at small steps, near them.",
        logarithmic=True,
    )
    for particles in (1, 10, 100):
        dots = [measured_variance(particles, share * limit) for share in few]
        figure.axes[0].plot(few, dots, "o", color="black", markersize=3)
    display(figure)

    steps_of = torch.linspace(0.02, 0.56, 28).tolist()
    clouds = [pgd_run(x_toy[:2], h, 300, toy.cloud, seed_all(4))[1] for h in steps_of]
    figure = show.curves(
        {
            "predicted, 1 / (2 (1 − h))": [1 / (2 * (1 - h)) for h in steps_of],
            "of the posterior, ½": [0.5] * len(steps_of),
        },
        x=steps_of,
        xlabel="step size h",
        ylabel="variance",
        title="How wide the cloud is (dots: measured)",
        alt="Variance of the cloud over the step size: it rises from ½ at small steps to about 1.1 at 0.55, along the predicted curve; "
        "the posterior's ½ is a level line below.",
    )
    figure.axes[0].plot(
        steps_of, [z.var(dim=1).mean().item() for z in clouds], "o", color="black", markersize=3
    )
    display(figure)

# %% [markdown]
# The dots of the first picture scatter where steps are small: successive θ are then so alike that six thousand of them say as much as a hundred would.
#
# Two biases of very different kinds.
#
# - **The number of particles** does not bias θ here, but makes it noisy, by $1/N$. The average of θ over time forgets that noise, too.
# - **The step size** makes the cloud too wide, by the factor $1/(1-h)$, with any number of particles and however long you wait. Only smaller steps help.

# %% [markdown]
# ### Think · Biased, unbiased · 2 points
#
# In the toy model, the long-run mean of θ is exactly $\bar x$ for every stable $h$ and every $N$, even $N=1$. The cloud's variance is wrong for every $h>0$. Why the one and not the other? Use the
# equations above. And would you expect θ to be unbiased in a model whose $\nabla_\theta\log p_\theta(x,z)$ is not linear in $z$? (θ sees the cloud only through the average of that gradient.)

# %% [markdown] think="think-bias" points=2
# *Your answer here.*
#
# ### BEGIN MARK SCHEME
# 1 point: the recursion for the means is linear and the noise has mean 0, so taking expectations gives the noiseless recursion of (θ, m), whose fixed point is θ = m = x̄; neither h nor N
# appears in it. The variance obeys v = (1 − 2h)² v + 2h: discretising adds a term h² (4h²v), so the fixed point 1/(2(1 − h)) depends on h.
# 1 point: no in general: the average gradient then depends on the cloud's variance (and higher moments), which h biases; and θ's own trembling, correlated with the particles, biases it by something of order 1/N.
# (Either of the two reasons is enough for the point.)
# ### END MARK SCHEME

# %% [markdown]
# ### Experiment · The family
#
# PGD has relatives that spare θ the tiny steps. All from the same start, with $D=100$ and ten particles:
#
# - **EM**, exact: θ moves half of the way in every turn. Possible only where the posterior is known.
# - **PQN**, particle quasi-Newton: divides θ's gradient by its curvature, here $D$.
# - **PMGD**, particle marginal gradient descent: the M step in closed form, $\theta=m$, in every step.

# %%
def pqn_step(
    theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Particle quasi-Newton: your step of the particles, and θ's divided by its curvature D."""
    _, moved = pgd_step(theta, z, x, step_size, noise)
    return theta + step_size * grad_theta(theta, z, x).mean() / len(x), moved


def pmgd_step(
    theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Particle marginal gradient descent: θ is the maximiser for the particles as they are."""
    _, moved = pgd_step(z.mean(), z, x, step_size, noise)
    return moved.mean(), moved


def path_of(
    step, x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator
) -> Tensor:
    """θ after each step, from θ = −5 and particles around it."""
    theta = x.new_tensor(-5.0)
    z = theta + torch.randn(len(x), particles, generator=generator, dtype=x.dtype)
    path = []
    for _ in range(steps):
        noise = torch.randn(z.shape, generator=generator, dtype=x.dtype)
        theta, z = step(theta, z, x, step_size, noise)
        path.append(theta)
    return torch.stack(path)

# %% tags=["experiment"]
with experiment("the-family"):
    many = 1 + math.sqrt(2) * torch.randn(100, generator=seed_all(5), dtype=torch.float64)
    best, slow = many.mean(), max_stable_step(100) / 2
    paths = {
        "EM": best - (best + 5) * 0.5 ** torch.arange(1, 601, dtype=torch.float64),
        "PMGD, h = 0.4": path_of(pmgd_step, many, 0.4, 600, 10, seed_all(6)),
        "PQN, h = 0.4": path_of(pqn_step, many, 0.4, 600, 10, seed_all(6)),
        f"PGD, h = {slow:.2g}": path_of(pgd_step, many, slow, 600, 10, seed_all(6)),
    }
    distances = {name: (path - best).abs() for name, path in paths.items()}
    arrived = {name: int((distance < 0.1).nonzero()[0]) + 1 for name, distance in distances.items()}
    figure = show.curves(
        {
            f"{name}: below 0.1 after {arrived[name]}": distance.where(
                distance > 1e-3, math.nan
            ).tolist()
            for name, distance in distances.items()
        },
        xlabel="step",
        ylabel="|θ − mean of the data|",
        logarithmic=True,
        title="Four ways to the maximum, D = 100",
        alt="Distance of θ from the maximum of the likelihood over 600 steps, both axes logarithmic. EM falls fastest and "
        "through the floor, PMGD and PQN reach their noise of about 0.03 within some ten and thirty steps, PGD after some 400.",
    )
    figure.axes[0].set_xscale("log")
    display(figure)

# %% [markdown]
# EM halves the distance in every turn, without end. PMGD keeps up until it reaches its own noise, PQN is a few times slower. PGD, the only one of them that needs neither a posterior, nor an M step in closed form, nor a
# curvature, takes more than ten times as long again. It is also the one that works for a neural network, if its θ gets help.

# %% [markdown]
# ## 4 · Help for θ
#
# A generator has many images and hundreds of thousands of parameters. Two things change.
#
# **Minibatches.** The gradient of θ is a sum over all $M$ images, and one step can only afford a batch $B$ of them. The sum over the batch is too small by a factor, on average. Which?
#
# ### Exercise 6 · `minibatch-gradient` · 2 points · ●○○ · 6 minutes
#
# Estimate the sum over all images from those of the batch, without bias: the mean over all batches must be the full gradient, exactly.
#
# <details><summary>Hint</summary>
# In a batch of |B| out of M images each image is present with probability |B| / M.
# </details>

# %% exercise="minibatch-gradient"
def minibatch_gradient(gradient, batch: list[int], total: int) -> Tensor:
    """Unbiased estimate of the sum over all images of their gradients.

    Args:
        gradient: from an image's index to its gradient, a tensor of any shape.
        batch: indices of the images in the minibatch, drawn without replacement.
        total: M, the number of all images.

    Returns:
        A tensor of the gradient's shape.
    """
    ### BEGIN SOLUTION
    return total / len(batch) * torch.stack([gradient(image) for image in batch]).sum(0)
    ### END SOLUTION

# %% test="minibatch-gradient" points=2
check("minibatch-gradient", minibatch_gradient)

# %% tags=["experiment"]
with experiment("all-minibatches"):
    each = x_toy[:8] - 0.5
    estimates = {
        f"{size} of 8 images": torch.stack(
            [
                minibatch_gradient(lambda image: each[image], list(batch), 8)
                for batch in combinations(range(8), size)
            ]
        )
        for size in (1, 2, 4, 7)
    }
    display(
        show.histograms(
            estimates,
            marks=(each.sum().item(),),
            limits=(-25, 25),
            xlabel="estimate",
            ylabel="% of the batches",
            title="Every minibatch that there is; dashed, the full gradient",
            alt="Histograms of the estimates from all batches of 1, 2, 4 and 7 of 8 images around a dashed line at the full gradient: "
            "the larger the batch, the closer they are to it.",
        )
    )
    print(
        "means:",
        ", ".join(f"{values.mean():.6f}" for values in estimates.values()),
        "· full gradient:",
        f"{each.sum():.6f}",
    )

# %% [markdown]
# Batches of any size are right on average. (Forget $M/|B|$, as published code does, and with the optimizer of the next exercise nobody notices, since it rescales θ's gradient anyway; with plain gradient steps, θ would be $M/|B|$ times too slow.)
#
# **Step sizes of its own for θ.** A step that is right for one parameter is too large for another and too small for a third. RMSprop (Tieleman & Hinton, 2012) divides each gradient by a running estimate $\sqrt v$ of how large it usually is:
#
# $$v\leftarrow\rho\,v+(1-\rho)\,g^2,\qquad p\leftarrow p+\eta\,\frac{g}{\sqrt v+\epsilon}.$$
#
# ### Exercise 7 · `rmsprop-step` · 2 points · ●○○ · 6 minutes
#
# Mind the sign: log p is to *grow*. The new $v$ is used at once. $\rho$ is `decay` and $\eta$ is `lr`.

# %% exercise="rmsprop-step"
def rmsprop_step(
    p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float
) -> tuple[Tensor, Tensor]:
    """One step of RMSprop, uphill.

    Args:
        p: parameters, any shape; they stay as they are.
        gradient: of what is to grow, the same shape.
        v: running mean of the squared gradient, the same shape; it stays as it is.
        lr: η, how far a step goes.
        decay: ρ, the weight of the old v.
        eps: keeps the quotient finite.

    Returns:
        The new parameters and the new v.
    """
    ### BEGIN SOLUTION
    v = decay * v + (1 - decay) * gradient.square()
    return p + lr * gradient / (v.sqrt() + eps), v
    ### END SOLUTION

# %% test="rmsprop-step" points=2
check("rmsprop-step", rmsprop_step)

# %% tags=["experiment"]
with experiment("a-long-ridge"):

    def ridge(points: Tensor) -> Tensor:
        return -0.5 * (points * points.new_tensor([0.05, 1.0])).square().sum(1) * 100

    def slope(p: Tensor) -> Tensor:
        return -100 * torch.tensor([0.05, 1.0]).square() * p

    plain = [torch.tensor([-2.7, 2.0])]
    helped, v = [plain[0]], torch.zeros(2)
    for _ in range(120):
        plain.append(plain[-1] + 0.018 * slope(plain[-1]))
        p, v = rmsprop_step(helped[-1], slope(helped[-1]), v, lr=0.04, decay=0.9, eps=1e-8)
        helped.append(p)
    paths = {
        "plain gradient, h = 0.018": torch.stack(plain),
        "your RMSprop, lr = 0.04": torch.stack(helped),
    }
    figure = show.landscape(
        dict.fromkeys(paths, ridge),
        limits=(-500, 0),
        label="what is to grow",
        xlabel="p₁",
        ylabel="p₂",
        title="120 steps on a long ridge",
        alt="Two panels with a narrow horizontal ridge, highest in the middle. The plain gradient zigzags across the ridge and then "
        "crawls along it, less than half of the way. RMSprop goes straight to the middle of both axes.",
    )
    for axes, path in zip(figure.axes, paths.values()):
        axes.plot(*path.T, "o-", color="black", markersize=2.5, linewidth=1)
        axes.plot(0, 0, "*", color="white", markeredgecolor="black", markersize=14)
    display(figure)

# %% [markdown]
# The steep direction forbids the plain gradient any larger step, just as θ's pull did to the particles. RMSprop walks in both directions at the same pace. Its steps stay about as long as its learning rate, however near the top is, so in
# section 6 the learning rate falls towards the end.

# %% [markdown]
# ## 5 · Langevin
#
# The particles' half of PGD on its own, with θ fixed, is *Langevin sampling*: for small steps and long enough, points follow any density whose gradient you have.
#
# ### Exercise 8 · `langevin` · 3 points · ●●○ · 8 minutes
#
# Move $n$ points at once by $z\leftarrow z+h\,\nabla\log p(z)+\sqrt{2h}\,\xi$. Every point gets noise of its own in every step, the last one included: we want samples, not the best point.

# %% exercise="langevin"
def langevin(
    z0: Tensor, gradient, step_size: float, steps: int, generator: torch.Generator
) -> Tensor:
    """Unadjusted Langevin sampling.

    Args:
        z0: where each of n chains starts, shape (n, K); it stays as it is.
        gradient: from points (n, K) to the gradient of the log-density there, (n, K).
        step_size: h.
        steps: how many.
        generator: where all random numbers come from.

    Returns:
        The chains' last points, shape (n, K).
    """
    ### BEGIN SOLUTION
    z = z0
    for _ in range(steps):
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
        z = z + step_size * gradient(z) + math.sqrt(2 * step_size) * noise
    return z
    ### END SOLUTION

# %% test="langevin" points=3
check("langevin", langevin)

# %% [markdown]
# ### Experiment · Far from home
#
# A thousand chains start at one point of a ring of eight Gaussians. How long until they have seen all of it?

# %%
ring = mixtures.ring(8, std=0.25)


def ring_gradient(z: Tensor) -> Tensor:
    """Gradient of the ring's log-density, by autograd."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        return torch.autograd.grad(ring.log_prob(z).sum(), z)[0]

# %% tags=["experiment"]
with experiment("far-from-home"):
    chains = seed_all(7)
    z = torch.tensor([2.0, 0.0]).repeat(1000, 1)
    stages, done = {}, 0
    for steps in profile(
        smoke=dict(at=(3, 10, 30)), cpu=dict(at=(3, 100, 3000)), full=dict(at=(3, 100, 3000))
    ).at:
        z, done = langevin(z, ring_gradient, 0.02, steps - done, chains), steps
        home = (torch.cdist(z, ring.means.cpu()).argmin(1) == 0).float().mean()
        stages[f"after {steps:,} steps: {home:.0%} at home"] = z
    stages["exact draws"] = ring.sample(1000, generator=chains).cpu()
    display(
        show.clouds(
            stages,
            title="Langevin chains from one point",
            alt="Four panels. After 3 steps a spot at the right of a circle; after 100 that spot and thinner ones beside it; after 3,000 "
            "a ring of eight that looks like the exact draws in the last panel.",
        )
    )

# %% [markdown]
# Within its own Gaussian a chain has forgotten its start after a few dozen steps. From one Gaussian to the next it takes a hundred and more, because it must climb through the gap between them, and round the ring thousands. An image's posterior is like that as well: some codes explain it,
# others explain it too, and between them lies little. This is why PGD *keeps* its particles from one step of θ to the next instead of starting afresh: they have time. And it is why you should not trust a single particle.

# %% [markdown]
# ## 6 · A generator without an encoder
#
# Now the real thing. A network $G_\theta$ draws an image from a code, and pixels scatter around it with variance $\sigma^2$:
#
# $$z\sim\mathcal N(0,I),\qquad x\mid z\sim\mathcal N\big(G_\theta(z),\sigma^2 I\big),\qquad
# \log p_\theta(x,z)=-\frac{\|x-G_\theta(z)\|^2}{2\sigma^2}-\frac{\|z\|^2}2+\text{const}.$$
#
# The network is given: a projection, two residual blocks, transposed convolutions, 32×32 pixels (on a GPU that of Kuntz, Lim & Johansen, 2023, on a laptop a smaller one). Every one of the $M$ images has $N$ particles of its own, a **cloud**
# `(images, particles, latent)` that is kept from epoch to epoch. A step moves θ and the particles of one batch, so it costs the same however many images there are.
#
# Notice what is missing: no encoder, no reparameterisation, no KL divergence. The prior's share is the term $\|z\|^2/2$, and the cloud's spread takes the place of the entropy.

# %%
laptop = dict(network=CompactGenerator, batch=10, step_size=3e-3, variance=0.1**2, lr=2e-3)
cfg = profile(
    smoke=laptop
    | dict(images=80, held_out=70, judged=10, generated=140)
    | dict(width=8, latent=8, particles=2, epochs=1, search=3, chain=3, components=2),
    cpu=laptop
    | dict(images=1000, held_out=1000, judged=50, generated=2000)
    | dict(width=16, latent=32, particles=3, epochs=20, search=40, chain=60, components=20),
    full=dict(
        network=ResidualGenerator, batch=128, step_size=1e-4, variance=0.005**2, lr=1e-3
    )  # as published
    | dict(images=10_000, held_out=1000, judged=1000, generated=5000)
    | dict(width=64, latent=64, particles=10, epochs=100, search=200, chain=500, components=50),
)
digits, _ = load("mnist", size=32, count=cfg.images + cfg.held_out)
train, held_out = digits[: cfg.images], digits[cfg.images :]
print(f"{len(train):,} digits to learn from, {len(held_out):,} held out")


def log_joint(generator, x: Tensor, z: Tensor, observed: Tensor | None = None) -> Tensor:
    """log p(x, z) of each particle in nats, up to a constant.

    Images x (batch, channels, 32, 32) and particles z (batch, N, latent) give (batch, N). With a mask, a bool tensor of the
    shape of x, only the observed pixels count.
    """
    error = x[:, None] - generator(z)
    if observed is not None:
        error = error * observed[:, None]
    return -error.square().flatten(2).sum(2) / (2 * cfg.variance) - z.square().sum(2) / 2

# %% [markdown]
# **One pass for two gradients.** θ and the particles need gradients of the *same* function at the *same* place, so one backward pass gives both. (With batch normalisation they would be two functions, one in train and one in eval mode. Our generator normalises every
# image by itself.) The gradient of θ is scaled to all $M$ images, as in exercise 6, and averaged over the particles; torch's Adam, with `maximize=True`, is the RMSprop of
# exercise 7 with a running mean of the gradient on top; and the particles take one step of *your* `langevin`, with a gradient that is already there.
#
# `fit` stops early when the particles explain nothing more, and writes losses and pictures for TensorBoard into `runs/`. Where a runtime may vanish, as on Colab, call `train_pgd(…, checkpoint="drive:pgd.pt")`: network, optimizer, particles and noise are kept on your Google Drive, in `MyDrive/lvm`, and the same call goes on after
# the last whole epoch. (Elsewhere than on Colab, `pgd.pt` lies beside the notebook.) The *energy* that it reports is $-\log p_\theta(x,z)$ in nats, up to a constant.

# %%
def pgd(
    generator,
    optimizer,
    cloud: ParticleCloud,
    images,
    step_size: float,
    noise: torch.Generator,
    sweep: bool = False,
):
    """The step of particle gradient descent that `fit` repeats: one batch, one pass, θ and particles.

    With `sweep`, every step moves the particles of all images and not of the batch only: truer to the theory, and
    as many times dearer as there are batches.
    """

    def slopes(x: Tensor, z: Tensor, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Backward pass: gradients of the particles, returned, and of θ, times `scale`; and −log p."""
        z = z.requires_grad_()
        log_p = log_joint(generator, x, z)
        (scale * log_p.sum()).backward()
        return z.grad / scale, -log_p.detach().mean()

    def move(rows: Tensor, z: Tensor, slope: Tensor) -> None:
        start, uphill = (part.detach().flatten(0, 1).cpu() for part in (z, slope))
        moved = langevin(start, lambda _: uphill, step_size, 1, noise)
        cloud.put(rows, moved.detach().view(z.shape).to(z.device))

    def step(batch) -> dict[str, Tensor]:
        x, rows = batch
        z = cloud.take(rows)
        optimizer.zero_grad()
        slope, energy = slopes(x, z, scale=len(cloud) / (len(x) * z.shape[1]))  # M / (|B| N)
        if sweep:
            of_theta = [p.grad.clone() for p in generator.parameters()]
            for every, particles in cloud.chunks(cfg.batch):
                move(every, particles, slopes(images.images[every.cpu()].to(device), particles)[0])
            for p, gradient in zip(generator.parameters(), of_theta):
                p.grad = gradient
        else:
            move(rows, z, slope)
        clip_gradients(
            generator.parameters(), max_norm=3000 * len(cloud)
        )  # only where a first step is wild
        optimizer.step()
        return {"energy": energy}

    return step


@torch.no_grad()
def pixel_error(generator, x: Tensor, z: Tensor) -> Tensor:
    """Mean squared error of a pixel, over images x (n, …) and their particles z (n, N, latent)."""
    parts = zip(x.split(100), z.split(100))
    errors = [
        (a.to(device)[:, None] - generator(b.to(device))).square().mean() * len(a) for a, b in parts
    ]
    return torch.stack(errors).sum() / len(x)


@torch.no_grad()
def pictures(generator, cloud: ParticleCloud) -> dict[str, Tensor]:
    """For TensorBoard: what the particles of eight images draw, and eight prior codes."""
    particles = cloud.take(range(min(8, len(cloud))))
    return {
        "particles": generator(particles).flatten(0, 1),
        "samples": generator(torch.randn(8, generator.latent, device=device)),
    }


def optimizer_of(*networks, lr: float, steps: int):
    """Adam uphill, with a learning rate that falls along a cosine; Adam is RMSprop with a running mean of g on top."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    optimizer = torch.optim.Adam(parameters, lr, maximize=True)
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=lr / 20)


def train_pgd(name: str, images, sizes, checkpoint: str | None = None):
    """A generator and the cloud of its training images, by PGD.

    With a checkpoint, a training that was killed goes on after its last complete epoch, bit by bit.
    """
    noise = torch.Generator().manual_seed(0)
    generator = sizes.network(sizes.latent, images.images.shape[1], width=sizes.width).to(device)
    cloud = ParticleCloud(len(images), sizes.particles, sizes.latent, generator=noise)
    loader = batches((images, torch.arange(len(images))), sizes.batch)
    optimizer, schedule = optimizer_of(generator, lr=sizes.lr, steps=sizes.epochs)

    def explained() -> dict[str, Tensor]:
        some = range(min(200, len(images)))
        return {"mse": pixel_error(generator, images.images[: len(some)], cloud.take(some))}

    def after_epoch(epoch: int) -> dict[str, Tensor]:
        schedule.step()
        return pictures(generator, cloud)

    history = fit(
        pgd(generator, optimizer, cloud, images, sizes.step_size, noise),
        loader,
        epochs=sizes.epochs,
        validate=explained,
        stop=EarlyStopping("mse", patience=10),
        checkpoint=checkpoint,
        state={
            "generator": generator,
            "optimizer": optimizer,
            "schedule": schedule,
            "particles": cloud,
            "noise": noise,
        },
        log=f"runs/06-particle-em/{name}",
        on_epoch=after_epoch,
    )
    return generator, cloud, history

# %% tags=["experiment"]
with experiment("pgd-training"):
    seed_all(20)
    generator, cloud, history = train_pgd("pgd", train, cfg)
    display(
        history.plot(
            "mse", ylabel="squared error of a pixel", title="PGD: what the particles explain"
        )
    )
    shown = range(10)
    with torch.no_grad():
        drawn = generator(cloud.take(shown)).cpu()
    rows = [*drawn.unbind(1)[:3], 2 * drawn.std(1)]
    labels = ["original", *(f"particle {n + 1}" for n in range(len(rows) - 1)), "2 × deviation"]
    display(
        show.reconstructions(
            train.images[:10],
            *rows,
            labels=labels,
            title="Ten images and what their particles draw",
        )
    )
    pgd_generator, pgd_cloud, pgd_history = generator, cloud, history

# %% [markdown]
# Twenty visits to each image, and three particles reconstruct it in three slightly different ways. Nobody has told the model how to find a code: the particles walked there.
#
# The number to try out is the quotient $h/\sigma^2$: how much of the gap to the image one step closes. Here it is 0.3. At 0.03 particles hardly stir in twenty visits, and digits stay blurred. At 1 they reconstruct even better, but the codes of all images spread to a deviation of 1.8, where the prior
# says 1, and what the prior then draws is worse. There is no best value, only what you want of the model.
#
# ### Experiment · The posterior of an image
#
# With θ fixed, particles can be followed for longer, and copied: thirty chains for each of three images, ten from each of its three particles, seen along the two directions in which the whole cloud varies most.

# %%
def posterior_draws(
    generator,
    x: Tensor,
    z: Tensor,
    steps: int,
    noise: torch.Generator,
    observed: Tensor | None = None,
) -> Tensor:
    """Your Langevin from particles z (batch, N, latent) towards p(z | x), θ fixed; the same shape.

    The chains live on the CPU, where their noise comes from; the network computes their gradients on its device.
    """

    def gradient(chains: Tensor) -> Tensor:
        with torch.enable_grad():
            codes = chains.detach().to(device).view(z.shape).requires_grad_()
            log_p = log_joint(generator, x, codes, observed).sum()
            (slope,) = torch.autograd.grad(log_p, codes)
        return slope.flatten(0, 1).cpu()

    chains = langevin(z.detach().flatten(0, 1).cpu(), gradient, cfg.step_size, steps, noise)
    return chains.detach().view(z.shape).to(device)


def principal_plane(codes: Tensor) -> Tensor:
    """The two directions in which codes (n, latent) vary most, as columns, (latent, 2)."""
    return torch.linalg.svd(codes - codes.mean(0), full_matrices=False).Vh[:2].T

# %% tags=["experiment"]
with experiment("posterior-of-an-image"):
    noise = seed_all(21)
    codes = pgd_cloud.pooled()
    plane = principal_plane(codes)
    chosen = (0, 1, 6)
    three = torch.stack([(train.labels == digit).nonzero()[0, 0] for digit in chosen])
    chains = pgd_cloud.take(three).repeat_interleave(10, dim=1)
    posterior = posterior_draws(
        pgd_generator, train.images[three].to(device), chains, 3 * cfg.chain, noise
    ).cpu()
    others = codes[torch.randperm(len(codes))[:1000]]
    labels = torch.cat(
        [torch.zeros(len(others)), torch.arange(1, 4).repeat_interleave(chains.shape[1])]
    ).long()
    display(
        show.scatter(
            torch.cat([others, posterior.flatten(0, 1)]) @ plane,
            labels,
            ["all images", *(f"one {digit}" for digit in chosen)],
            xlabel="first principal direction",
            ylabel="second",
            title="Particles of all images, and 30 chains for each of three",
        )
    )
    apart = pgd_cloud.pooled().view(pgd_cloud.shape).var(1).mean().sqrt()
    walked = posterior.unflatten(1, (-1, 10)).var(2).mean().sqrt()
    print(
        f"deviation of an entry of z: {walked:.2f} among chains from one particle · {apart:.2f} among the particles "
        f"of an image · {codes.std(0).mean():.2f} over all images"
    )

# %% [markdown]
# Chains from the same particle stay together and have explored a neighbourhood. But the three particles of an image lie nearly as far apart as those of different images: **many codes, far from each other, draw the same digit**, and each particle has found its own. The chains would need far more steps to meet, if they
# ever do. A VAE's Gaussian encoder would have to settle for one of these places.
#
# ### Experiment · Between two codes
#
# If codes mean anything, a straight line from one image's code to another's should pass through images.

# %% tags=["experiment"]
with experiment("between-particles"):
    ends = pgd_cloud.take([3, 14, 25, 36, 7, 18, 29, 40])[:, 0]
    shares = torch.linspace(0, 1, 9, device=ends.device)[:, None]
    with torch.no_grad():
        strips = torch.stack(
            [pgd_generator((1 - shares) * a + shares * b) for a, b in zip(ends[:4], ends[4:])]
        )
    display(
        show.traversal(
            strips.cpu(),
            column_labels=[f"{share:.0%}" for share in shares.flatten().tolist()],
            xlabel="of the way from one image's particle to another's",
            title="Straight lines between particles",
        )
    )

# %% [markdown]
# The ends are reconstructions. On the way digits bend, break and close, mostly without leaving the realm of strokes, although no image ever put a particle there.

# %% [markdown]
# ## 7 · Filling in
#
# Hide a part of an image, and the model should say what may be there. No training is needed for this: leave the hidden pixels out of $\log p(x\mid z)$ and look for codes that explain the rest.
#
# ### First with a linear generator
#
# If $G(z)=Wz+b$, this is a problem with an exact answer. The best code minimises
#
# $$\frac1{2\sigma^2}\sum_{d\text{ observed}}\big(x_d-(Wz+b)_d\big)^2+\frac12\|z\|^2 .$$
#
# ### Exercise 9 · `inpaint` · 3 points · ●●○ · 12 minutes
#
# Find it, in closed form or by any minimiser that converges (a slow one makes the check slow), and complete the image: what is observed stays *exactly* as it is, what is hidden comes from the model. The hidden entries of `x` may hold anything, even NaN or infinity.
#
# <details><summary>Hint: the normal equations</summary>
# Keep only the observed rows of W, b and x. Set the gradient to zero: (WᵀW + σ² I) z = Wᵀ (x − b).
# </details>
#
# <details><summary>Hint: anything, even NaN</summary>
# 0 · NaN is NaN. Select the observed entries, <code>x[observed]</code>, instead of multiplying by the mask; and put the result together with <code>torch.where</code>.
# </details>

# %% exercise="inpaint"
def inpaint_linear(
    W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float
) -> tuple[Tensor, Tensor]:
    """The most probable code of a partly observed image under a linear generator, and the completed image.

    Args:
        W: weights, shape (D, K).
        b: biases, shape (D,).
        x: the image's pixels, shape (D,); meaningless where hidden.
        observed: bool, True where a pixel is known, shape (D,).
        variance: σ² of a pixel around W z + b; a priori z ~ N(0, I).

    Returns:
        The code, shape (K,), and the completed image, shape (D,).
    """
    ### BEGIN SOLUTION
    seen = W[observed]
    precision = seen.T @ seen + variance * torch.eye(W.shape[1], dtype=W.dtype, device=W.device)
    z = torch.linalg.solve(precision, seen.T @ (x - b)[observed])
    return z, torch.where(observed, x, W @ z + b)
    ### END SOLUTION

# %% test="inpaint" points=3
check("inpaint", inpaint_linear)

# %% [markdown]
# The maximum-likelihood linear generator is known, too: its columns are the principal components of the training images (Tipping & Bishop, 1999), and its σ² is the variance that they leave. How far does it get with a hidden centre of 12×12?

# %%
def linear_generator(images: Tensor, latent: int) -> tuple[Tensor, Tensor, float]:
    """W (D, latent), b (D,) and σ² of probabilistic PCA. Tipping & Bishop, 1999, equations 7 and 8."""
    pixels = images.flatten(1)
    b = pixels.mean(0)
    _, singular, axes = torch.linalg.svd(pixels - b, full_matrices=False)
    variances = singular.square() / len(pixels)
    variance = variances[latent:].sum().item() / (pixels.shape[1] - latent)
    return axes[:latent].T * (variances[:latent] - variance).clamp(min=0).sqrt(), b, variance


def hidden_error(x: Tensor, filled: Tensor, observed: Tensor) -> Tensor:
    """Mean squared error of a hidden pixel, all images together."""
    hidden = ~masks.expanded(x, observed)
    return (x - filled)[hidden].square().mean()


CENTRE = masks.centre(32, 12)
judged = held_out.images[: cfg.judged]

# %% tags=["experiment"]
with experiment("linear-in-painting"):
    W, b, variance = linear_generator(train.images, min(cfg.latent, len(train) // 2))
    mask = CENTRE.flatten()
    rows = {"mean image": masks.completed(judged, b.view_as(judged[0]).expand_as(judged), CENTRE)}
    for name, sigma2 in {"σ² of the fit": variance, "ten times σ²": 10 * variance}.items():
        filled = [inpaint_linear(W, b, x.flatten(), mask, sigma2)[1].view_as(x) for x in judged]
        rows[name] = torch.stack(filled)
    labels = [
        f"{name}: {hidden_error(judged, filled, CENTRE):.3f}" for name, filled in rows.items()
    ]
    display(
        show.reconstructions(
            judged[:10],
            masks.greyed(judged, CENTRE)[:10],
            *(filled[:10] for filled in rows.values()),
            labels=["original", "what is seen", *labels],
            title=f"A linear generator fills in (squared error of a hidden pixel, {len(judged)} images)",
        )
    )

# %% [markdown]
# With the σ² of the fit it does worse than the mean image, which looks at nothing: thirty-two components are taken at their word about every visible pixel, and swing wildly where nothing holds them. Tell it that pixels are ten times as noisy, and strokes go on sensibly into the hidden part, if blurred. **How much to trust the visible
# pixels is a part of the model**, and the best value for one purpose need not be that for another.
#
# ### Then with a network
#
# Now the minimum must be searched for, and there are many: from one start the search may end at a code that explains the visible pixels badly. So we start several times, and keep the best code for each image.
#
# ### Exercise 10 · `best-start` · 1 point · ●○○ · 5 minutes
#
# For each image the code of *its own* best start. (One arg-min for the whole batch would give everyone the start that is best on average.)
#
# <details><summary>Hint</summary>
# With <code>losses.argmin(0)</code> you have one index an image; index z with it and with <code>torch.arange(B)</code>.
# </details>

# %% exercise="best-start"
def best_start(losses: Tensor, z: Tensor) -> Tensor:
    """Of several searches for each image, the code of the one with the smallest loss.

    Args:
        losses: of R starts for B images, shape (R, B).
        z: where they ended, shape (R, B, K).

    Returns:
        Shape (B, K).
    """
    ### BEGIN SOLUTION
    return z[losses.argmin(0), torch.arange(z.shape[1], device=z.device)]
    ### END SOLUTION

# %% test="best-start" points=1
check("best-start", best_start)

# %%
def search(generator, x: Tensor, observed: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """Codes for what is observed of images, by Adam from several starts each.

    Returns:
        The losses, −log p(observed x, z) in nats, (starts, batch), and the codes, (starts, batch, latent).
    """
    z = torch.randn(len(x), 4, generator.latent, generator=noise).to(device).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.1)
    for _ in range(cfg.search):
        optimizer.zero_grad()
        (-log_joint(generator, x, z, observed).sum()).backward(inputs=[z])
        optimizer.step()
    with torch.no_grad():
        losses = -log_joint(generator, x, z, observed)
    return losses.T, z.detach().transpose(0, 1)


@torch.no_grad()
def drawn_from(generator, x: Tensor, z: Tensor, observed: Tensor) -> Tensor:
    """Images whose hidden pixels are what the generator draws from codes (batch, latent)."""
    return masks.completed(x, generator(z).cpu(), observed)


def fill_in(
    generator, x: Tensor, observed: Tensor, noise: torch.Generator, draws: int = 0
) -> tuple[Tensor, Tensor]:
    """Images with their hidden pixels filled in: by the best code, and by draws from its posterior.

    Args:
        x: images (batch, channels, 32, 32); what is hidden may hold any number.
        observed: bool, True where a pixel is known; any shape that `masks.expanded` takes.
        noise: where random numbers come from.
        draws: chains an image that follow your `langevin` from the best code on.

    Returns:
        (batch, …) and (draws, batch, …); the observed pixels are those of x in all of them.
    """
    mask = masks.expanded(x, observed).to(device)
    seen = x.to(device)
    z = best_start(*search(generator, seen, mask, noise))
    best = drawn_from(generator, x, z, observed)
    if not draws:
        return best, best[:0]
    chains = posterior_draws(
        generator, seen, z[:, None].expand(-1, draws, -1), cfg.chain, noise, mask
    )
    return best, drawn_from(generator, x, chains.transpose(0, 1), observed)

# %% tags=["experiment"]
with experiment("several-starts"):
    noise = seed_all(22)
    mask = masks.expanded(judged, CENTRE).to(device)
    losses, codes = search(pgd_generator, judged.to(device), mask, noise)
    for_all = losses.mean(1).argmin()
    choices = {
        "the first start": codes[0],
        "one arg-min for all": codes[for_all],
        "each its own": best_start(losses, codes),
    }
    errors = [
        hidden_error(judged, drawn_from(pgd_generator, judged, z, CENTRE), CENTRE).item()
        for z in choices.values()
    ]
    display(
        show.bars(
            {"": errors},
            ticks=list(choices),
            xlabel="code chosen",
            ylabel="squared error of a hidden pixel",
            title=f"Four starts for each of {len(judged)} images, the centre hidden",
        )
    )
    some, half = judged[:10], masks.right_half(32)
    losses, codes = search(
        pgd_generator, some.to(device), masks.expanded(some, half).to(device), noise
    )
    rows = [drawn_from(pgd_generator, some, z, half) for z in codes]
    display(
        show.reconstructions(
            masks.greyed(some, half),
            *rows,
            labels=["what is seen", *(f"start {n + 1}" for n in range(len(rows)))],
            title="Where four starts end",
        )
    )
    print("smallest loss at start", (losses.argmin(0) + 1).tolist())

# %% [markdown]
# Each image's own best start explains its *visible* pixels best, by definition. The bars show that this helps where it counts, in the pixels that the search never saw; one start for all is a compromise.
#
# The second picture shows the four ends for each image with its right half hidden. Some explain what is seen about equally well, by different digits; others are stuck. The printed line says which one your `best_start` takes.
#
# Now with draws. From the best code on, three chains follow your `langevin` for each image, with $\log p$ of the visible pixels only.

# %% tags=["experiment"]
with experiment("in-painting"):
    noise = seed_all(23)
    for name, observed in {"the centre": CENTRE, "the right half": masks.right_half(32)}.items():
        best, drawn = fill_in(pgd_generator, judged, observed, noise, draws=3)
        middle = drawn.mean(0)
        single = torch.stack([hidden_error(judged, one, observed) for one in drawn]).mean()
        labels = [
            "original",
            "what is seen",
            f"best code: {hidden_error(judged, best, observed):.3f}",
            *(f"a draw: {single:.3f}" for _ in drawn),
            f"mean of the draws: {hidden_error(judged, middle, observed):.3f}",
            "2 × deviation",
        ]
        rows = [masks.greyed(judged, observed), best, *drawn, middle, 2 * drawn.std(0)]
        display(
            show.reconstructions(
                judged[:10],
                *(row[:10] for row in rows),
                labels=labels,
                title=f"What may be in {name} (squared error of a hidden pixel, {len(judged)} images)",
            )
        )

# %% [markdown]
# The draws of an image differ where something is hidden and only there, as the last row shows, and mostly in how a stroke crosses the gap. (The labels give the average over the draws. With half of the image hidden the error is *smaller*, because most of that half is the black margin.)
#
# Is the model as unsure as it should be? No: with its centre hidden, the 7 in the fifth column gets a bar that it never had, in every draw. Short chains from one code see only the neighbourhood of that code, as in the ring of section 5. **Draws that agree are no proof**, unless the chains had time.
#
# And look at the errors: the *mean* of the draws is better than any draw, and a draw is better than the best code. The mean is a blur between digits. **A small squared error rewards hedging**, so whoever compares in-painting by it alone will prefer the blur.

# %% tags=["experiment"]
with experiment("other-masks"):
    noise = seed_all(24)
    shapes = {
        "two thirds of the pixels": masks.scattered(32, 2 / 3, generator=noise),
        "a word": masks.writing(32, "EM"),
    }
    for name, observed in shapes.items():
        some = judged[:10]
        best, _ = fill_in(pgd_generator, some, observed, noise)
        display(
            show.reconstructions(
                some,
                masks.greyed(some, observed),
                best,
                labels=["original", "what is seen", "completed"],
                title=f"Hidden: {name}",
            )
        )

# %% [markdown]
# ## 8 · New images
#
# For a new image one needs a code. From the prior, says the model. But does the cloud of all particles look like the prior? Where no image has ever put a particle, θ has never been trained. So three
# alternatives fit a distribution to the particles, and draw codes from that: one Gaussian, a mixture of Gaussians, one Gaussian for each digit.

# %%
def gaussian_codes(codes: Tensor, count: int) -> Tensor:
    """Draws (count, latent) from a Gaussian fitted to codes (n, latent)."""
    covariance = codes.T.cov() + 1e-4 * torch.eye(codes.shape[1])
    return torch.distributions.MultivariateNormal(codes.mean(0), covariance).sample((count,))


def mixture_codes(codes: Tensor, count: int, components: int) -> Tensor:
    """Draws (count, latent) from a mixture of Gaussians that scikit-learn fits to codes (n, latent)."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(components, reg_covar=1e-3, max_iter=50, random_state=0).fit(
        codes.double().numpy()
    )
    drawn = torch.from_numpy(mixture.sample(count)[0]).float()
    return drawn[torch.randperm(count)]


def class_codes(codes: Tensor, labels: Tensor, count: int) -> Tensor:
    """Draws (count, latent), class by class in turn, each from the Gaussian of its own particles (n, N, latent)."""
    classes = labels.unique()
    parts = [
        gaussian_codes(codes[labels == label].flatten(0, 1), -(-count // len(classes)))
        for label in classes
    ]
    return torch.stack(parts, 1).flatten(0, 1)[:count]


def syntheses(codes: Tensor, labels: Tensor, count: int) -> dict[str, Tensor]:
    """Codes (count, latent) in four ways, from those of the training images (images, N, latent)."""
    together = codes.flatten(0, 1)
    return {
        "prior": torch.randn(count, codes.shape[2]),
        "one Gaussian": gaussian_codes(together, count),
        "mixture": mixture_codes(together, count, cfg.components),
        "by class": class_codes(codes, labels, count),
    }


@torch.no_grad()
def images_of(generator, z: Tensor) -> Tensor:
    """Images (n, 1, 32, 32) of codes (n, latent), on the CPU."""
    return torch.cat([generator(part.to(device)).cpu() for part in z.split(250)])


def fid(images: Tensor) -> float:
    """Fréchet distance to the test images, on the features of our digit classifier, which wants 28 × 28 pixels."""

    def small(images: Tensor) -> Tensor:
        return F.interpolate(images, size=(28, 28), mode="bilinear", antialias=True).clamp(0, 1)

    return frechet_distance(small(held_out.images), small(images)).value

# %% tags=["experiment"]
with experiment("four-syntheses"):
    seed_all(24)
    pgd_codes = pgd_cloud.pooled().view(pgd_cloud.shape)
    for name, codes in syntheses(pgd_codes, train.labels, cfg.generated).items():
        images = images_of(pgd_generator, codes)
        display(show.grid(images[:20], columns=10, title=f"Codes: {name}; FID {fid(images):.0f}"))

# %% [markdown]
# Codes from the prior often give strokes that are no digit: between and around the particles θ was never trained. One Gaussian has the right mean and widths and is better. A mixture follows the cloud's lumps, and so does a Gaussian for each class, which in addition draws the class that you ask
# for (a column each from 0 to 9). They cheat in a way, of course: the model says that codes are standard normal, and they draw from what the codes really are. Whether the two agree is a question one should ask of every latent-variable model.
#
# ### Exercise 11 · `gmm-em-step` · 3 bonus points · ●●● · 25 minutes
#
# How does scikit-learn fit a mixture of Gaussians? By EM, the old one, with both steps in closed form. The **E step** computes how probable each component is for each code, its *responsibility*; the **M step** fits weights, means and covariances with these as weights:
#
# $$r_{ic}=\frac{w_c\,\mathcal N(z_i\mid\mu_c,\Sigma_c)}{\sum_k w_k\,\mathcal N(z_i\mid\mu_k,\Sigma_k)},\qquad
# n_c=\sum_i r_{ic},\qquad w_c=\frac{n_c}n,\qquad\mu_c=\frac1{n_c}\sum_i r_{ic}\,z_i,\qquad
# \Sigma_c=\frac1{n_c}\sum_i r_{ic}\,(z_i-\mu_c)(z_i-\mu_c)^\top .$$
#
# The covariances are full, and around the *new* means. A code may lie far from every component: stay with logarithms until the responsibilities are normalised.
#
# <details><summary>Hint: log-densities</summary>
# <code>torch.distributions.MultivariateNormal(means, covs).log_prob(z[:, None])</code> has shape (n, C). Add log w and take the softmax over the components.
# </details>
#
# <details><summary>Hint: the covariances</summary>
# <code>torch.einsum("ic,ica,icb-&gt;cab", r, deviations, deviations)</code>, with deviations of shape (n, C, d).
# </details>

# %% exercise="gmm-em-step"
def gmm_em_step(
    z: Tensor, weights: Tensor, means: Tensor, covs: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One EM step for a mixture of Gaussians with full covariances.

    Dempster, Laird & Rubin, 1977; Bishop, *Pattern Recognition and Machine Learning*, 2006, section 9.2.2.

    Args:
        z: codes, shape (n, d).
        weights: of the components, they sum to 1, shape (C,).
        means: shape (C, d).
        covs: covariance matrices, shape (C, d, d).

    Returns:
        The new weights, means and covariances, of the same shapes.
    """
    ### BEGIN SOLUTION
    log_density = torch.distributions.MultivariateNormal(means, covs).log_prob(z[:, None])
    r = (log_density + weights.log()).softmax(1)
    n = r.sum(0)
    means = (r.T @ z) / n[:, None]
    deviations = z[:, None] - means
    covs = torch.einsum("ic,ica,icb->cab", r, deviations, deviations) / n[:, None, None]
    return n / len(z), means, covs
    ### END SOLUTION

# %% test="gmm-em-step" points=3
check("gmm-em-step", gmm_em_step)

# %%
def mixture_log_prob(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Tensor:
    """Log-density of a mixture of Gaussians in nats: points (n, d) give (n,)."""
    parts = torch.distributions.MultivariateNormal(means, covs).log_prob(z[:, None])
    return (parts + weights.log()).logsumexp(1)

# %% tags=["experiment"]
with experiment("mixture-by-em"):
    chosen = seed_all(25)
    of_three = torch.isin(train.labels, torch.tensor([0, 1, 7])).nonzero()[:, 0]
    of = train.labels[of_three].repeat_interleave(cfg.particles)
    codes = pgd_cloud.pooled(of_three)
    flat = ((codes - codes.mean(0)) @ principal_plane(codes)).double()
    fits = profile(
        smoke=dict(components=2, steps=12),
        cpu=dict(components=3, steps=40),
        full=dict(components=3, steps=40),
    )
    means = flat[torch.randperm(len(flat), generator=chosen)[: fits.components]]
    weights = flat.new_full((fits.components,), 1 / fits.components)
    states, likelihood = [(weights, means, flat.T.cov().repeat(fits.components, 1, 1))], []
    for _ in range(fits.steps):
        likelihood.append(mixture_log_prob(flat, *states[-1]).mean().item())
        states.append(gmm_em_step(flat, *states[-1]))
    display(
        show.curves(
            {"your EM": likelihood},
            xlabel="step",
            ylabel="log-likelihood of a code, nats",
            title="It never falls",
        )
    )

    def density(weights: Tensor, means: Tensor, covs: Tensor):
        return lambda points: (
            mixture_log_prob(points.cpu().double(), weights, means, covs).float().to(points.device)
        )

    display(
        show.landscape(
            {f"step {steps}": density(*states[steps]) for steps in (1, 5, fits.steps)},
            points={
                f"digit {digit}": flat[of == digit][:100].float() for digit in of.unique().tolist()
            },
            limits=(-10, -2),
            reach=8,
            label="log-density, nats",
            xlabel="first principal direction",
            ylabel="second",
            title=f"A mixture of {fits.components} Gaussians, by your EM, and particles",
        )
    )
    parts = (
        torch.distributions.MultivariateNormal(*states[-1][1:]).log_prob(flat[:, None])
        + states[-1][0].log()
    )
    nearest = parts.argmax(1)
    for digit in of.unique().tolist():
        shares = (
            torch.bincount(nearest[of == digit], minlength=fits.components) / (of == digit).sum()
        )
        print(f"digit {digit}: by component", ", ".join(f"{share:.0%}" for share in shares))

# %% [markdown]
# Half a century old, and the likelihood has not fallen once. Nobody has told the components about digits.

# %% [markdown]
# ## 9 · Four ways to train one generator
#
# Is it worth it? Three other ways to train the same network on the same images, with as many passes of a code through a network and back:
#
# - **Short-run MCMC** (Nijkamp et al., 2020) keeps nothing: a few Langevin steps from fresh prior codes, then a step of θ.
# - **Alternating back-propagation** (Han et al., 2017) keeps one code an image: a few Langevin steps, *then* a step of θ at the new code.
# - **A VAE** trains an encoder instead, with one draw an image. Its KL divergence is $\mathrm{KL}(q(z\mid x)\,\|\,p(z))$, this way round.

# %%
def short_run(generator, optimizer, steps: int, noise: torch.Generator):
    """The step of short-run MCMC: fresh codes, some of your Langevin steps, θ."""

    def step(batch) -> dict[str, Tensor]:
        x, _ = batch
        z = torch.randn(len(x), 1, generator.latent, generator=noise)
        z = posterior_draws(generator, x, z, steps, noise)
        return {"energy": climb(optimizer, log_joint(generator, x, z).mean())}

    return step


def alternating(generator, cloud: ParticleCloud, optimizer, steps: int, noise: torch.Generator):
    """The step of alternating back-propagation: some of your Langevin steps from the kept code, then θ."""

    def step(batch) -> dict[str, Tensor]:
        x, rows = batch
        z = posterior_draws(generator, x, cloud.take(rows), steps, noise)
        cloud.put(rows, z)
        return {"energy": climb(optimizer, log_joint(generator, x, z).mean())}

    return step


def autoencoding(generator, encoder, optimizer):
    """The step of a VAE whose decoder is the generator."""

    def step(batch) -> dict[str, Tensor]:
        x, _ = batch
        mean, log_var = encoder(x)
        z = mean + (log_var / 2).exp() * torch.randn_like(mean)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1)
        error = (x - generator(z)).square().flatten(1).sum(1)
        return {"energy": climb(optimizer, (-error / (2 * cfg.variance) - kl).mean())}

    return step


def climb(optimizer, objective: Tensor) -> Tensor:
    """One step uphill; returns the objective's negative."""
    optimizer.zero_grad()
    objective.backward()
    optimizer.step()
    return -objective.detach()

# %%
def train_rival(name: str, step_of, *networks, passes: int, batch: int = cfg.batch):
    """Train networks by a step that takes so many passes an image, for as many passes in all as PGD.

    Returns:
        The seconds that it took, and the steps of θ.
    """
    epochs = max(1, cfg.epochs * cfg.particles // passes)
    optimizer, schedule = optimizer_of(*networks, lr=cfg.lr, steps=epochs)
    loader = batches((train, torch.arange(len(train))), batch)
    history = fit(
        step_of(optimizer=optimizer),
        loader,
        epochs=epochs,
        log=f"runs/06-particle-em/{name}",
        on_epoch=lambda _: schedule.step(),
    )
    return history.seconds, epochs * len(loader)


def new_generator():
    """The same network from the same weights."""
    seed_all(20)
    return cfg.network(cfg.latent, width=cfg.width).to(device)


def megabytes(*kept) -> float:
    """Memory of networks and clouds."""
    return sum(tensor.nbytes for part in kept for tensor in part.state_dict().values()) / 1e6

# %% tags=["experiment"]
with experiment("rivals"):
    noise = torch.Generator().manual_seed(1)
    cost = pgd_history.seconds, pgd_history.epochs * math.ceil(len(train) / cfg.batch)
    pgd_codes = pgd_cloud.pooled().view(pgd_cloud.shape)
    models = {"PGD": (pgd_generator, pgd_codes, cost, megabytes(pgd_generator, pgd_cloud))}

    generator, moves = new_generator(), 8
    step_of = partial(short_run, generator, steps=moves, noise=noise)
    cost = train_rival("short-run", step_of, generator, passes=moves + 1)
    start = torch.randn(len(train), 1, cfg.latent, generator=noise)
    parts = zip(train.images.split(250), start.split(250))
    codes = torch.cat(
        [posterior_draws(generator, x.to(device), z, moves, noise).cpu() for x, z in parts]
    )
    models["short-run"] = (generator, codes, cost, megabytes(generator))

    generator, moves = new_generator(), 3
    cloud = ParticleCloud(len(train), 1, cfg.latent, generator=noise, quiet=True)
    step_of = partial(alternating, generator, cloud, steps=moves, noise=noise)
    cost = train_rival("alternating", step_of, generator, passes=moves + 1)
    models["alternating"] = (generator, cloud.pooled()[:, None], cost, megabytes(generator, cloud))

    generator = new_generator()
    encoder = ConvolutionalEncoder(1, 32, 32, cfg.latent, features=16).to(device)
    step_of = partial(autoencoding, generator, encoder)
    as_many = cfg.batch * cfg.particles  # codes in a step
    cost = train_rival(
        "vae", step_of, generator, encoder, passes=2, batch=as_many
    )  # the encoder's pass counts, too
    with torch.no_grad():
        parts = [encoder(x.to(device)) for x in train.images.split(250)]
    mean, log_var = (torch.cat(part).cpu() for part in zip(*parts))
    codes = mean + (log_var / 2).exp() * torch.randn(mean.shape, generator=noise)
    models["VAE"] = (generator, codes[:, None], cost, megabytes(generator, encoder))
    display(
        show.bars(
            {"": [seconds for _, _, (seconds, _), _ in models.values()]},
            ticks=list(models),
            xlabel="method",
            ylabel="seconds",
            title="Training, with as many passes each",
        )
    )
    trained = models

# %% tags=["experiment"]
with experiment("one-table"):
    table, sheets, labels = [], [], []
    for name, (generator, codes, (seconds, steps), kept) in trained.items():
        noise = seed_all(26)
        learned = pixel_error(generator, train.images, codes)
        best, _ = fill_in(generator, judged, CENTRE, noise)
        error = hidden_error(judged, best, CENTRE)
        ways = syntheses(codes, train.labels, cfg.generated)
        drawn = {way: images_of(generator, ways[way]) for way in ("prior", "mixture", "by class")}
        scores = {way: fid(images) for way, images in drawn.items()}
        sheets.append(drawn["mixture"][:16])
        labels.append(f"{name}: {error:.3f}, FID {scores['mixture']:.0f}")
        table.append(
            f"{name:12}{learned:>9.4f}{error:>13.3f}{scores['prior']:>11.0f}{scores['mixture']:>9.0f}"
            f"{scores['by class']:>10.0f}{steps:>10,}{seconds:>9.0f}{kept:>7.2f}"
        )
    columns = [
        "learned",
        "in-painting",
        "FID prior",
        "mixture",
        "by class",
        "θ-steps",
        "seconds",
        "MB",
    ]
    widths = [9, 13, 11, 9, 10, 10, 9, 7]
    print(" " * 12 + "".join(f"{column:>{width}}" for column, width in zip(columns, widths)))
    print("\n".join(table))
    title = "In-painting error, FID, and new digits of the four, codes from a mixture"
    display(show.traversal(torch.stack(sheets), row_labels=labels, title=title))

# %% [markdown]
# *Learned* is the squared error of a training pixel from the codes that the method has found; *in-painting* that of a hidden pixel in images it has never seen, by the same search for all; *MB* what must be kept.
#
# **The four are more alike than different.** The encoder and the kept codes learn the training images best; PGD fills in best. Short-run MCMC, which remembers nothing, takes the fewest steps of θ for the same passes, and is behind. All four are poor with codes from
# the prior, the VAE poorest: its encoder packs the images into small islands. From a mixture fitted to their own codes all draw digits.
#
# And what the table does not show: one seed, fifty images with a hole, and settings that were tried out more carefully for PGD than for the others. With half as much training again, short-run MCMC is the one that fills in best. A comparison that decides anything would tune all alike, on other images than it reports, and repeat.

# %% [markdown]
# ### Think · Particles or an encoder · 3 points
#
# You are to train a generator on a million images of 256×256 pixels, and later to fill in holes in photographs that come in one by one. What do particles cost that an encoder does not, and what do they buy? Name at least
# two of each, and say which you would take. (A cloud takes 4 bytes for each image, particle and latent: 384 an image here, 2,560 at the published size.)

# %% [markdown] think="think-particles" points=3
# *Your answer here.*
#
# ### BEGIN MARK SCHEME
# 1 point for two costs: memory proportional to images × particles (M·N·K numbers, kept for ever); a new image has no particles, so its code needs a search or a chain of many passes where an encoder needs one;
# each particle moves only when its image is visited (seldom, with a million images), so it lags behind θ; sampling needs a separate fit to the cloud.
# 1 point for two gains: no second network to design and train, no gap between q and the posterior from its family or from amortisation (any shape, several modes); no reparameterised gradient, works with any differentiable log p(x, z);
# conditions on any part of the image without retraining (an encoder expects whole images).
# 1 point for a choice that follows from the reasons given, such as: encoder for training at this size, then Langevin from its guess for the holes (amortised warm starts). Either choice is accepted with a reason.
# ### END MARK SCHEME

# %% [markdown]
# ## 10 · In colour
#
# Nothing in the algorithm knows about digits. The same function, three channels, and a set of faces (on a GPU, house numbers).

# %% tags=["experiment", "cover"]
with experiment("in-colour"):
    seed_all(27)
    smileys = dict(name="emoji", category="Smileys & Emotion", count=None)
    chosen = profile(
        smoke=smileys, cpu=smileys, full=dict(name="svhn", category=None, count=10_000)
    )
    sizes = profile(
        smoke=vars(cfg) | dict(particles=1, batch=30),
        cpu=vars(cfg) | dict(epochs=40, step_size=1e-3),
        full=vars(cfg),
    )
    known, unseen = load(chosen.name, size=32, category=chosen.category, count=chosen.count)
    generator, cloud, history = train_pgd("colour", known, sizes)
    with torch.no_grad():
        drawn = generator(cloud.take(range(14))).cpu()
    labels = ["original", "particle 1"]
    title = f"In colour: squared error of a pixel {history['mse'][-1]:.4f}"
    display(show.reconstructions(known.images[:14], drawn[:, 0], labels=labels, title=title))

    seen = unseen.images[:14]
    best, _ = fill_in(generator, seen, CENTRE, seed_all(28))
    rows = [masks.greyed(seen, CENTRE), best]
    labels = ["original", "what is seen", "completed"]
    display(show.reconstructions(seen, *rows, labels=labels, title="Never seen before, filled in"))

    codes = gaussian_codes(cloud.pooled(), 28)
    display(
        show.grid(
            images_of(generator, codes), columns=14, title="New ones, codes from one Gaussian"
        )
    )

# %% [markdown]
# What it has learned comes back in its colours. Faces are completed plausibly, not least because emoji repeat each other's eyes and mouths; what is no face, such as an explosion, becomes a smudge. New ones from a single Gaussian over a hundred and fifty pictures are mere moods: yellow, a heart's outline, a hint of a mouth.

# %% [markdown]
# ## Summary
#
# - EM minimises one free energy over θ and $q$. PGD goes down in both at once, with a cloud of particles for $q$: gradient steps for θ, Langevin steps for the particles.
# - On the toy model all of it has exact answers: a largest stable step that depends on the number of dimensions and not on that of particles; θ right on average and noisy by $1/N$; the cloud too wide by $1/(1-h)$, whatever $N$.
# - θ and the particles want different step sizes: give θ an optimizer of its own, and a gradient scaled to all images.
# - A generator needs no encoder. Its particles cost memory and forget nothing; new images need a search.
# - In-painting needs several starts, an arg-min for each image, and draws; a squared error alone prefers blur.
#
# ## Going further
#
# - Lim, Kuntz, Power & Johansen, *Momentum Particle Maximum Likelihood*, 2024: both halves with momentum, like Adam to SGD.
# - Akyildiz, Crucinio, Girolami, Johnston & Sabanis, *Interacting Particle Langevin Algorithm for Maximum Marginal Likelihood Estimation*, 2023: add noise $\sqrt{2h/N}\,\xi$ to θ as well, and its long-run law concentrates on the maximum as $N$ grows, at a known rate.
# - Sharrock, Dodd & Nemeth, *Tuning-Free Maximum Likelihood Training of Latent Variable Models via Coin Betting*, 2024: Stein variational gradient descent for the particles, and no step size at all.
# - Amortised warm starts: let an encoder propose, and Langevin correct. Try it: start `fill_in` at the VAE's mean instead of at random.
# - Neal & Hinton, *A View of the EM Algorithm That Justifies Incremental, Sparse, and Other Variants*, 1998: the free energy of section 1.
