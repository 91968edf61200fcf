# %% [markdown]
# # Lab 04 · NVIL: learning to choose
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({{colab}}/course/04-nvil/04-nvil.ipynb)
#
# You will train models whose codes are *choices*: one of ten templates, a handful of bits. No derivative passes through a
# choice, so you estimate the gradient by trial and reward, see how badly that goes at first, and make it work. It takes
# about two hours.
#
# **After this lab you can**
#
# - sum a small latent out exactly, and know then what every approximation costs;
# - build a gradient estimator for codes that carry no derivative, and show that it is unbiased by trying all that it
#   can draw;
# - lower its variance with control variates – and tell one from a trick that changes the gradient;
# - say when a path derivative is to be had, and what it saves.
#
# **It builds on** PyTorch basics (modules, autograd) and on the ELBO, which section 3 recalls. Lab 03 helps; you need
# no code from there.
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
from functools import partial
from itertools import count

import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.nn import functional as F

from lvmlib import check, experiment, load, models, profile, seed_all, show
from lvmlib.measure import gradient_moments

device = profile.device

# %% [markdown]
# ## Conventions
#
# | In the text | In the code | Meaning |
# |---|---|---|
# | $x$ | `x` | an observation; images are `(batch, channel, height, width)`, here with pixels 0 or 1 |
# | $z$ | `z` | a code, always floating point, `(…, latent)`: a choice is a one-hot vector, a bit is 0.0 or 1.0 |
# | $q(z\mid x)$ | `q` | what the encoder answers: a *distribution object*, see below |
# | $\log p(x, z)$ | `log_joint(z)` | of the observations at hand; it keeps the batch shape of `z`; in nats |
# | $K,\ C,\ S$ | | numbers of categories, of components, of samples; sample axes come first |
# | $r$ | `reward` | $\log p(x, z)-\log q(z\mid x)$ of a draw $z$ |
#
# **Distributions as objects.** `torch.distributions` (here `td`) has one class a family. A *batch shape* says how many
# distributions an object holds, an *event shape* what one draw looks like:
#
# ```python
# q = td.OneHotCategorical(logits=torch.zeros(64, 10))   # batch shape (64,), event shape (10,)
# z = q.sample()                                         # (64, 10): one draw from each
# z = q.sample((3,))                                     # (3, 64, 10): three draws from each
# q.log_prob(z)                                          # (3, 64): events are gone, samples stay in front
# ```
#
# `td.Independent(d, n)` declares the last `n` batch axes of `d` to be one event, so that `log_prob` sums over them. A
# Gaussian also has `rsample()`: a draw that hands gradients on. A choice has none, and that is what this lab is about.

# %% [markdown]
# ## 1 · Mixtures
#
# The oldest model with a latent choice: draw a component $c$, then draw $z$ from that component. Nobody tells us which
# it was, so we add up:
#
# $$p(z)=\sum_{c=1}^C\pi_c\prod_k\mathcal N(z_k\mid\mu_{ck},\sigma_{ck}^2),\qquad \pi=\operatorname{softmax}(\text{logits}).$$
#
# ### Exercise 1 · `mixture-log-prob` · 2 points · ●○○ · 10 minutes
#
# Write $\log p(z)$ as code. You will need it in section 10, where it is the prior of a model. A point far from all
# components has a density that float32 rounds to 0, so stay among logarithms.
#
# <details><summary>Hint: the logarithm of a sum of exponentials</summary>
# <code>torch.logsumexp</code>. What stands in the exponent is log π_c plus the log density of component c, summed over k.
# </details>
#
# <details><summary>Hint: shapes</summary>
# <code>z[:, None]</code> has shape (B, 1, K) and meets means of shape (C, K). <code>td.Normal(means, scales).log_prob(…)</code>
# gives (B, C, K). Sum over one axis, take logsumexp over another.
# </details>
#
# <details><summary>Hint: the logits</summary>
# They are not normalised: log π is their <code>log_softmax</code>.
# </details>

# %% exercise="mixture-log-prob"
def mixture_log_prob(z: Tensor, logits: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Log density of a mixture of Gaussians with diagonal covariances, in nats.

    Args:
        z: points, shape (B, K).
        logits: of the components, not normalised, shape (C,).
        means: shape (C, K).
        scales: standard deviations, shape (C, K).

    Returns:
        One value for each point, shape (B,).
    """
    ### BEGIN SOLUTION
    components = td.Normal(means, scales).log_prob(z[:, None]).sum(-1)
    return (logits.log_softmax(0) + components).logsumexp(1)
    ### END SOLUTION

# %% test="mixture-log-prob" points=2
check("mixture-log-prob", mixture_log_prob)

# %% [markdown]
# A choice ties coordinates together. On the left is a mixture of three Gaussians in the plane, on the right each
# *coordinate* has a mixture of its own, with the same components: your function, once for each coordinate. **Guess
# first:** how many hills are there on the right?

# %% tags=["experiment"]
with experiment("one-choice-or-two"):
    logits = torch.tensor([0.0, 0.5, -0.5], device=device)
    means = torch.tensor([[-1.8, -1.9], [0.2, 1.9], [1.9, 0.1]], device=device)
    scales = torch.tensor([[0.35, 0.45], [0.4, 0.3], [0.3, 0.4]], device=device)

    def one_for_each_coordinate(z: Tensor) -> Tensor:
        return sum(
            mixture_log_prob(z[:, [k]], logits, means[:, [k]], scales[:, [k]]) for k in range(2)
        )

    densities = {
        "one choice for both": lambda z: mixture_log_prob(z, logits, means, scales).exp(),
        "a choice for each": lambda z: one_for_each_coordinate(z).exp(),
    }
    display(
        show.landscape(
            densities, xlabel="z₁", ylabel="z₂", title="Three components, chosen once or twice"
        )
    )

# %% [markdown]
# ## 2 · A latent with ten values
#
# From points to images. Let $z$ be one of $K$ codes, each with a template: logits $l_{kd}$ for the pixels
# $x_d\in\{0,1\}$. Again nobody tells which code it was, and again we add up; and *Bayes' rule* says which code it may
# have been:
#
# $$\log p(x)=\log\sum_k p(k)\,p(x\mid k),\qquad
# \log p(k\mid x)=\log p(k)+\log p(x\mid k)-\log p(x),$$
#
# $$\log p(x\mid k)=\sum_d\big[x_d\,l_{kd}-\log(1+e^{l_{kd}})\big].$$
#
# ### Exercise 2 · `marginal-and-posterior` · 2 points · ●○○ · 10 minutes
#
# For images that are flat vectors of $D$ pixels, with any batch axes in front. $\log p(x\mid k)$ lies around −200 for
# an image: its exponential is 0 in float32.
#
# <details><summary>Hint: no loop needed</summary>
# The sum over the pixels of x·l is a matrix product, <code>x @ decoder_logits.T</code>, and works with any batch axes.
# log(1 + e^l) is <code>F.softplus(l)</code>.
# </details>
#
# <details><summary>Hint: which axis?</summary>
# Codes are on the last axis, whatever comes before. Count from the back: −1.
# </details>

# %% exercise="marginal-and-posterior"
def marginal_and_posterior(
    x: Tensor, log_prior: Tensor, decoder_logits: Tensor
) -> tuple[Tensor, Tensor]:
    """Evidence and exact posterior of a latent with K values, in nats.

    Args:
        x: images with pixels 0 or 1, shape (…, D).
        log_prior: log p(k), normalised, shape (K,).
        decoder_logits: of the pixels given each code, shape (K, D).

    Returns:
        (log_p_x, log_posterior): log p(x), shape (…), and log p(k | x), shape (…, K).
    """
    ### BEGIN SOLUTION
    log_likelihood = x @ decoder_logits.T - F.softplus(decoder_logits).sum(-1)
    log_joint = log_prior + log_likelihood
    log_p_x = log_joint.logsumexp(-1)
    return log_p_x, log_joint - log_p_x[..., None]
    ### END SOLUTION

# %% test="marginal-and-posterior" points=2
check("marginal-and-posterior", marginal_and_posterior)

# %% [markdown]
# ### Experiment · Ten templates by EM
#
# With the exact posterior there is a classic way to learn the templates, *expectation maximisation*: share every image
# among the templates by $p(k\mid x)$; set each template to the average of its shares; repeat. No gradient, no learning
# rate. The result depends on the random shares at the start, so we take the best of a few starts. It is what the rest
# of the lab has to live up to: **the floor**.
#
# The data are Fashion-MNIST with every pixel set to 0 or 1 at ½.

# %%
data_sizes = profile(
    smoke=dict(size=28, images=512, dev=128, hidden=(32,)),
    cpu=dict(size=28, images=6000, dev=1000, hidden=(256,)),
    full=dict(size=64, images="all", dev="all", hidden=(512,)),
)
clothes, dev = load(
    "fashion_mnist",
    size=data_sizes.size,
    count=data_sizes.images,
    test_count=data_sizes.dev,
    binarised=True,
)
IMAGE = tuple(clothes.images.shape[1:])
print(clothes)

# %%
em_sizes = profile(
    smoke=dict(starts=1, rounds=5), cpu=dict(starts=3, rounds=30), full=dict(starts=5, rounds=60)
)


def in_parts(x: Tensor, log_prior: Tensor, decoder_logits: Tensor) -> list[Tensor]:
    """Your marginal and posterior for many images, so many at a time that memory does not matter."""
    each = max(1, 2**25 // decoder_logits.numel())
    parts = [marginal_and_posterior(part, log_prior, decoder_logits) for part in x.split(each)]
    return [torch.cat(answers) for answers in zip(*parts)]


def expectation_maximisation(x: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Log prior (K,) and logits of the templates (K, D), from random shares of the images."""
    shares = F.one_hot(torch.randint(components, (len(x),)), components).float().to(x.device)
    for _ in range(em_sizes.rounds):
        weight = shares.sum(0)
        log_prior = ((weight + 1) / (weight + 1).sum()).log()
        templates = (shares.T @ x + 0.5) / (weight[:, None] + 1)  # never exactly 0 or 1
        shares = in_parts(x, log_prior, templates.logit())[1].exp()
    return log_prior, templates.logit()

# %% tags=["experiment"]
with experiment("ten-templates-by-em"):
    seed_all(0)
    x, held_out = (images.images.flatten(1).to(device) for images in (clothes, dev))
    starts = [expectation_maximisation(x, 10) for _ in range(em_sizes.starts)]
    found = [-in_parts(held_out, *start)[0].mean().item() for start in starts]
    em_floor = min(found)
    em_log_prior, em_templates = starts[found.index(em_floor)]
    print("−log p(x) by start:", ", ".join(f"{nats:.1f}" for nats in found), "nats")
    display(
        show.grid(
            em_templates.sigmoid().view(10, *IMAGE),
            columns=10,
            titles=[f"{share:.0%}" for share in em_log_prior.exp()],
            title=f"Templates and how often each is drawn; {em_floor:.1f} nats a held-out image",
        )
    )

# %% [markdown]
# ## 3 · A bound, and a lazy guess
#
# Ten terms are quickly added up. With 30 bits there are $2^{30}$, and nobody adds. What helps is the bound of lab 03,
# for *any* distribution $q$:
#
# $$\log p(x)\ \ge\ \mathrm{ELBO}=\mathbb E_{q}\big[\log p(x,z)-\log q(z\mid x)\big],$$
#
# with equality where $q(z\mid x)=p(z\mid x)$. As in lab 03, −ELBO is the sum of a *distortion*
# $\mathbb E_q[-\log p(x\mid z)]$ and a *rate* $\mathrm{KL}(q\,\|\,p(z))$. The laziest $q$ does not look at $x$ at all:
# $q(z\mid x)=p(z)$. Then the rate is 0, and the bound an average over $S$ draws from the prior.
#
# ### Exercise 3 · `naive-bound` · 1 point · ●○○ · 3 minutes
#
# Estimate that bound, given $\log p(x\mid z_s)$ for $S$ codes from the prior.

# %% exercise="naive-bound"
def naive_bound(log_likelihoods: Tensor) -> Tensor:
    """The ELBO with the prior as posterior, in nats, estimated from S codes for each observation.

    Args:
        log_likelihoods: log p(x | z) for codes z drawn from the prior, shape (S, B).

    Returns:
        One estimate for each observation, shape (B,).
    """
    ### BEGIN SOLUTION
    return log_likelihoods.mean(0)
    ### END SOLUTION

# %% test="naive-bound" points=1
check("naive-bound", naive_bound)

# %% [markdown]
# How far is it from the truth? The templates are those of EM, so the truth is known. Next to it stands the other
# average, the logarithm of the mean likelihood. **Guess:** what happens to each as more codes are drawn?

# %% tags=["experiment"]
with experiment("lazy-guesses"):
    seed_all(1)
    log_p_x, log_posterior = in_parts(held_out, em_log_prior, em_templates)
    log_likelihood = (log_p_x[:, None] + log_posterior - em_log_prior).T  # Bayes' rule, backwards
    drawn = td.Categorical(logits=em_log_prior).sample((100, len(held_out)))
    log_likelihoods = log_likelihood.gather(0, drawn)
    counts = (1, 2, 5, 10, 20, 50, 100)
    bounds = {
        "exact log p(x)": [log_p_x.mean().item()] * len(counts),
        "log of the mean": [
            (log_likelihoods[:n].logsumexp(0) - math.log(n)).mean().item() for n in counts
        ],
        "mean of the logs: your bound": [
            naive_bound(log_likelihoods[:n]).mean().item() for n in counts
        ],
    }
    display(
        show.curves(
            bounds,
            x=counts,
            xlabel="codes drawn from the prior",
            ylabel="nats",
            title="More guesses do not tighten the bound",
        )
    )

# %% [markdown]
# More draws make the estimate of the bound steadier, but the bound itself stays hundreds of nats too low: most
# templates are wrong for most images, and each wrong one counts fully. The logarithm of the mean needs a single good
# template among its draws. With ten codes that is soon found; among $2^{30}$ never. So there is no way around an
# encoder that looks at the image, and the encoder has to be trained.

# %% [markdown]
# ## 4 · A gradient through a choice
#
# To train the encoder we need the gradient of an average over $z\sim q$ with respect to the numbers that define $q$.
# For a Gaussian lab 03 wrote $z$ as a differentiable function of noise. A choice jumps: its derivative is zero or not
# there. But the *probability* of a choice is smooth, and $\nabla q=q\,\nabla\log q$:
#
# $$\nabla\sum_z q(z)\,f(z)=\sum_z q(z)\,f(z)\,\nabla\log q(z)+\sum_z q(z)\,\nabla f(z)=\mathbb E_q\big[f(z)\,\nabla\log q(z)+\nabla f(z)\big].$$
#
# So draw $z$, see what reward it earns, and make it more probable in proportion: the **score-function estimator**, in
# reinforcement learning known as REINFORCE. For the ELBO $f(z)=\log p(x,z)-\log q(z\mid x)=r$. What $-\log q$ adds to
# $\nabla f$ is zero on average, because $\mathbb E_q[\nabla\log q]=\nabla\sum_z q(z)=\nabla 1=0$; keep it or leave it.
#
# Autograd wants a number to differentiate. So we build a **surrogate**: a number whose *gradient* is the estimate,
#
# $$\frac1S\sum_{s=1}^S\Big[\operatorname{const}(r_s)\cdot\log q(z_s)+\log p(x,z_s)\Big].$$
#
# The value of a surrogate means nothing. Where it says $\operatorname{const}$, autograd must see a plain number.
#
# ### Exercise 4 · `score-function-surrogate` · 3 points · ●●○ · 15 minutes
#
# Ask q for nothing but `sample` and `log_prob`: in the check a code is a whole number, later it is a one-hot vector or
# a row of bits.
#
# The check runs your function on every sequence of outcomes that can be drawn, weighs the gradients by their
# probabilities, and compares with the exact gradient: no luck is involved. It looks at the variance, too: the average
# of $S$ draws must be as good as $S$ draws can be.
#
# (Much published code adds the rewards up in the loop over the samples, so that the second log-probability is
# multiplied by the first two rewards, and so on. Amazingly this is unbiased. But with three samples its variance is
# about five times too high.)
#
# <details><summary>Hint: a plain number</summary>
# <code>tensor.detach()</code> has the value and no history. What has to be detached is the reward, and only there: log p(x, z) also stands by itself, where its
# gradient trains prior and decoder.
# </details>
#
# <details><summary>Hint: several samples at once</summary>
# <code>z = q.sample((samples,))</code> puts a sample axis in front; <code>q.log_prob(z)</code> and <code>log_joint(z)</code> keep it. A loop over
# <code>q.sample()</code> is fine as well.
# </details>
#
# <details><summary>Hint: tempted to subtract the mean reward?</summary>
# Subtracting the mean of all S rewards, the draw's own included, biases the gradient: with S = 2 it is half as long.
# Section 6 does it properly.
# </details>

# %% exercise="score-function-surrogate"
def score_function_surrogate(q: td.Distribution, log_joint, samples: int) -> Tensor:
    """A number whose gradient estimates that of the ELBO, E_q[log_joint(z) − log q(z)].

    Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning*, 1992.

    Args:
        q: a distribution whose draws carry no gradient; use `q.sample`, `q.log_prob`.
        log_joint: function z -> log p(x, z) in nats, of the batch shape of z; it has parameters, too.
        samples: S, draws of z to average over.

    Returns:
        A 0-d tensor to be ascended. Its gradient reaches the parameters of q and of log_joint. (Where q holds a
        batch, average over it as well.)
    """
    ### BEGIN SOLUTION
    z = q.sample((samples,))
    log_p, log_q = log_joint(z), q.log_prob(z)
    reward = (log_p - log_q).detach()
    return (reward * log_q + log_p).mean()
    ### END SOLUTION

# %% test="score-function-surrogate" points=3
check("score-function-surrogate", score_function_surrogate)

# %% [markdown]
# A right answer on average. What does a single one look like? Here is a small problem that this and the next sections
# share: six codes, one observation, everything fixed. Below are hundreds of estimates of *one* coordinate of the
# gradient, from one draw each and from ten. The dashed line is the truth.

# %%
generator = torch.Generator().manual_seed(4)
SIX = 6
toy_log_likelihood = -12 + 1.5 * torch.randn(SIX, generator=generator)  # log p(x | z) of each code
toy_log_prior = torch.randn(SIX, generator=generator).log_softmax(0)
toy_logits = 0.8 * torch.randn(SIX, generator=generator)


def toy_log_joint(z: Tensor) -> Tensor:
    """log p(x, z) of one-hot codes (…, 6)."""
    return (z * (toy_log_prior + toy_log_likelihood)).sum(-1)


def toy_gradient(surrogate) -> Tensor:
    """One estimate of the ELBO's gradient in the six logits of q."""
    logits = toy_logits.clone().requires_grad_()
    surrogate(td.OneHotCategorical(logits=logits), toy_log_joint).backward()
    return logits.grad

# %% tags=["experiment"]
with experiment("single-estimates"):
    seed_all(2)
    q = td.OneHotCategorical(logits=toy_logits)
    exact = gradient_moments(partial(score_function_surrogate, samples=1), q, toy_log_joint).exact
    estimates = {}
    for samples in (1, 10):
        surrogate = partial(score_function_surrogate, samples=samples)
        first = torch.stack([toy_gradient(surrogate) for _ in range(500)])[:, 0]
        name = f"{samples} draw{'s' * (samples > 1)}: {first.mean():.2f} ± {first.std():.2f}"
        estimates[name] = first
    display(
        show.histograms(
            estimates,
            marks=(exact[0].item(),),
            xlabel="estimate",
            ylabel="% of the estimates",
            title=f"Right on average, and no single one near: the truth is {exact[0]:.2f}",
        )
    )

# %% [markdown]
# All rewards are near −12, since that is the size of $\log p(x, z)$. So *every* draw is punished, and the one that was
# drawn is made less probable, good or bad. It averages out – the worse codes are punished more – but slowly. The
# rewards of images are near −200.

# %% [markdown]
# ## 5 · Control variates
#
# What matters is whether a draw was *better than expected*. Subtract any number $b$ that does not depend on the draw,
# and the average stays what it is:
#
# $$\mathbb E_q\big[b\,\nabla\log q(z)\big]=b\,\nabla\sum_z q(z)=0 .$$
#
# Such a $b$ is called a **baseline**, and $b\,\nabla\log q(z)$ a *control variate*: a random number of known mean (here
# 0) that is correlated with the estimate. Mnih & Gregor (2014) put three tricks in a row and called the result NVIL,
# *neural variational inference and learning*. You will write them one by one.
#
# All have the same form. They are modules, called with the rewards of a batch (and the observations, if they care to
# look), and they return the *modified reward* and a *loss* for what they have to learn themselves. Rewards come without
# a graph.
#
# ### Exercise 5 · `centred-reward` · 2 points · ●●○ · 8 minutes
#
# The first baseline is a running mean of the rewards of *earlier* batches:
#
# $$r'_b=r_b-m,\qquad\text{then}\quad m\leftarrow\text{decay}\cdot m+(1-\text{decay})\cdot\tfrac1B\sum_b r_b .$$
#
# The order matters. Published NVIL updates first. The mean then contains a part $(1-\text{decay})/B$ of each reward
# itself, depends on the draw, and the gradient shrinks by the factor $1-(1-\text{decay})/B$. With a batch of 64 nobody
# notices; with a single observation and a decay of 0.9 it is 10 %.
#
# The mean is kept in a *buffer*: it is saved with the module and moves to its device, but no optimizer touches it.
#
# <details><summary>Hint: nothing to learn</summary>
# The running mean is computed and not trained, so the loss is zero for every observation:
# <code>torch.zeros_like(reward)</code>.
# </details>
#
# <details><summary>Hint: setting a buffer</summary>
# <code>self.mean = …</code> with a new tensor is enough; PyTorch remembers that the name is a buffer.
# </details>

# %% exercise="centred-reward"
class CentredReward(nn.Module):
    """Subtracts a running mean of the rewards of earlier batches.

    Mnih & Gregor, *Neural Variational Inference and Learning in Belief Networks*, 2014, section 2.3.

    Args:
        decay: how much of the running mean a batch leaves in place, between 0 and 1.
    """

    mean: Tensor  # before the next batch, 0-d

    def __init__(self, decay: float):
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, reward: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Rewards (batch,) to (modified rewards, loss), both (batch,); updates the mean. x is not needed here."""
        ### BEGIN SOLUTION
        centred = reward - self.mean
        self.mean = self.decay * self.mean + (1 - self.decay) * reward.mean()
        return centred, torch.zeros_like(reward)
        ### END SOLUTION

# %% test="centred-reward" points=2
check("centred-reward", CentredReward)

# %% [markdown]
# ### Exercise 6 · `scaled-reward` · 1 point · ●○○ · 5 minutes
#
# Rewards differ in size: hundreds of nats at first, a few at the end. NVIL divides by a running standard deviation $s$,
# but only where that exceeds 1, so that small rewards are not blown up:
#
# $$r'_b=\frac{r_b}{\max(1, s)},\qquad\text{then}\quad s\leftarrow\text{decay}\cdot s+(1-\text{decay})\cdot\operatorname{std}(r),$$
#
# where $\operatorname{std}(r)$ is the root of the mean squared deviation from the batch's mean, and $s$ starts at 1.
# (Some take the root of a running variance instead; the check takes both.)
#
# Mind what this is not: dividing multiplies the *whole* gradient of the encoder, its mean included, by $1/s$. It is a
# change of the learning rate and **no control variate**; the ratio of noise to gradient stays as it was.
#
# <details><summary>Hint: NaN for a batch of one</summary>
# <code>tensor.std()</code> divides by B − 1, which is 0 for a single reward. <code>std(correction=0)</code> divides by B.
# </details>

# %% exercise="scaled-reward"
class ScaledReward(nn.Module):
    """Divides rewards by a running standard deviation of those of earlier batches, where that exceeds 1.

    Mnih & Gregor, 2014, section 2.3.

    Args:
        decay: how much of the running standard deviation a batch leaves in place, between 0 and 1.
    """

    scale: Tensor  # before the next batch, 0-d

    def __init__(self, decay: float):
        super().__init__()
        self.decay = decay
        self.register_buffer("scale", torch.ones(()))

    def forward(self, reward: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Rewards (batch,) to (modified rewards, loss), both (batch,); updates the scale. x is not needed here."""
        ### BEGIN SOLUTION
        scaled = reward / self.scale.clamp(min=1)
        self.scale = self.decay * self.scale + (1 - self.decay) * reward.std(correction=0)
        return scaled, torch.zeros_like(reward)
        ### END SOLUTION

# %% test="scaled-reward" points=1
check("scaled-reward", ScaledReward)

# %% [markdown]
# ### Exercise 7 · `learned-baseline` · 2 points · ●●○ · 8 minutes
#
# A bag is harder to describe than a trouser leg: its reward is low whatever code is drawn. So the reward to be expected
# depends on the observation, and a network $b(x)$ can learn to predict it. The *advantage* is what is left, and the
# network learns by least squares:
#
# $$r'_b=r_b-b(x_b),\qquad \text{loss}_b=\big(r_b-b(x_b)\big)^2 .$$
#
# Two things go on at once, and must not mix: the advantage is a constant for whoever uses it, and the loss trains the
# baseline and nothing else.
#
# <details><summary>Hint: (batch, 1) and (batch,)</summary>
# The network returns a column. Subtracting a column from a row broadcasts to a square of batch × batch numbers, without
# any complaint. <code>squeeze(-1)</code> first.
# </details>
#
# <details><summary>Hint: which detach where?</summary>
# The baseline's answer is detached in the advantage. The reward is detached in the loss.
# </details>

# %% exercise="learned-baseline"
def baseline_advantage(baseline: nn.Module, reward: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Rewards minus what a network expects of each observation, and the network's loss.

    Args:
        baseline: x -> expected reward, (batch, 1).
        reward: shape (batch,).
        x: observations, shape (batch, …).

    Returns:
        (advantage, loss), both (batch,): the advantage sends no gradient to the baseline, the loss, a squared error,
        sends none to the reward.
    """
    ### BEGIN SOLUTION
    expected = baseline(x).squeeze(-1)
    return reward - expected.detach(), (reward.detach() - expected).square()
    ### END SOLUTION

# %% test="learned-baseline" points=2
check("learned-baseline", baseline_advantage)

# %% [markdown]
# ### Exercise 8 · `chain` · 1 point · ●○○ · 5 minutes
#
# NVIL uses all three: first the mean, then what the observation explains of the rest, then the scale. Write the module
# that puts control variates in a row: each gets the reward that the one before *left*, and their losses add up. An
# empty chain leaves the reward as it is, with a loss of zero.
#
# <details><summary>Hint: nn.ModuleList</summary>
# Kept in an <code>nn.ModuleList</code>, the members' parameters and buffers are those of the chain: an optimizer finds
# them, and they are saved. A plain list hides them.
# </details>

# %% exercise="chain"
class Chain(nn.Module):
    """Control variates one after the other.

    Args:
        control_variates: any number of modules (reward, x) -> (modified reward, loss).
    """

    def __init__(self, control_variates):
        super().__init__()
        self.control_variates = nn.ModuleList(control_variates)

    def forward(self, reward: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Rewards (batch,) to (what the last one leaves, sum of the losses), both (batch,)."""
        ### BEGIN SOLUTION
        total = torch.zeros_like(reward)
        for control_variate in self.control_variates:
            reward, loss = control_variate(reward, x)
            total = total + loss
        return reward, total
        ### END SOLUTION

# %% test="chain" points=1
check("chain", Chain)

# %% [markdown]
# ### Question 1 · `baseline-of-x` · 3 points · 8 minutes
#
# 1. Why may a baseline depend on $x$ – even on parameters that are being trained – but not on $z$? Give the line of
#    algebra, and what goes wrong in it.
# 2. Take it to the extreme: which gradient is left if the baseline of each draw is its own reward, $b(z)=r$?
# 3. A good prediction of the reward from $x$ *and* $z$ would remove far more noise. Suppose that $b(x,z)$ is one, and
#    that $\mathbb E_q[b(x,z)]$ is known in closed form. How can it be used after all, without any bias?

# %% [markdown] think="baseline-of-x" points=3
# Your answer to *baseline-of-x*, in three parts.
#
# ### BEGIN MARK SCHEME
# 1. Given x, E_q[b(x) ∇log q(z|x)] = b(x) Σ_z q ∇log q = b(x) ∇Σ_z q = b(x) ∇1 = 0: b(x) is a constant of the sum over z and comes out of it. That b has parameters does not
# matter as long as it is treated as a constant in the surrogate. With b(x, z) it cannot be taken out: Σ_z b(x,z) ∇q(z|x) = ∇E_q[b] with b held fixed, which is in general not 0, so the
# estimate is biased by minus that. (1 point for the line with the reason why z spoils it.)
#
# 2. None: r − b = 0 for every draw, the encoder's gradient is zero. It has no variance and the largest bias. (1 point; "the gradient vanishes" is enough. The own mean of S rewards is the same
# mistake by 1/S.)
#
# 3. Subtract b(x,z) from the reward and add its expectation back as a differentiable term: the surrogate const(r − b(x,z))·log q(z) + E_q[b(x,z)], the last with gradient through q. On average
# the two cancel. (1 point for adding ∇E_q[b] back. That is the principle of REBAR, RELAX and MuProp.)
# ### END MARK SCHEME

# %% [markdown]
# ### Exercise 9 · `nvil-surrogate` · 1 point · ●●○ · 6 minutes
#
# Put it together: one draw for each observation of a batch, its reward through the control variates, and a surrogate.
# Everything is averaged over the batch.
#
# <details><summary>Hint: what the control variates may touch</summary>
# They get the reward detached, and what they return counts as a constant. They modify the factor before log q(z|x) and
# nothing else: log p(x, z), which trains prior and decoder, stays as it is.
# </details>

# %% exercise="nvil-surrogate"
def nvil_surrogate(
    q: td.Distribution, log_joint, control_variates: nn.Module, x: Tensor
) -> tuple[Tensor, Tensor]:
    """NVIL's surrogate of the ELBO from one draw for each observation, and the loss of its control variates.

    Mnih & Gregor, 2014, algorithm 1.

    Args:
        q: q(z | x) with batch shape (batch,).
        log_joint: function z -> log p(x, z) in nats, (batch,) for z of q's batch shape.
        control_variates: (reward, x) -> (modified reward, loss), all (batch,).
        x: the observations, for the control variates, shape (batch, …).

    Returns:
        (surrogate, loss): two 0-d tensors, averaged over the batch; the first to be ascended by q and log_joint, the
        second to be descended by the control variates.
    """
    ### BEGIN SOLUTION
    z = q.sample()
    log_p, log_q = log_joint(z), q.log_prob(z)
    reward, loss = control_variates((log_p - log_q).detach(), x)
    return (reward.detach() * log_q + log_p).mean(), loss.mean()
    ### END SOLUTION

# %% test="nvil-surrogate" points=1
check("nvil-surrogate", nvil_surrogate)

# %% [markdown]
# ## 6 · Draws that judge each other
#
# A baseline that needs no training, no memory and no network: *another draw*. If $z$ and $z'$ are independent draws for
# the same observation, then the reward of $z'$ does not depend on $z$, and on average it is exactly what was to be
# expected:
#
# $$\operatorname{const}(r-r')\cdot\log q(z\mid x)+\log p(x,z).$$
#
# This is **self-critical** training (Rennie et al., 2017, with the most probable outcome as $z'$; here it is a draw).
#
# ### Exercise 10 · `self-critic` · 2 points · ●●○ · 10 minutes
#
# Two independent draws, of which the second only judges. (You may let them judge each other and average both terms. The
# next exercise does that for any number.)
#
# <details><summary>Hint: the critic's reward</summary>
# is log p(x, z′) − log q(z′) as well, detached. Calling q.sample() once and using the result twice gives an advantage
# of 0, always.
# </details>

# %% exercise="self-critic"
def self_critic(q: td.Distribution, log_joint) -> Tensor:
    """A surrogate of the ELBO from two independent draws, the second of which is the baseline of the first.

    Args:
        q: a distribution whose draws carry no gradient.
        log_joint: function z -> log p(x, z) in nats, of the batch shape of z; it has parameters, too.

    Returns:
        A 0-d tensor to be ascended by q and log_joint. (Where q holds a batch, average over it.)
    """
    ### BEGIN SOLUTION
    z, critic = q.sample(), q.sample()
    log_p, log_q = log_joint(z), q.log_prob(z)
    advantage = log_p - log_q - (log_joint(critic) - q.log_prob(critic))
    return (advantage.detach() * log_q + log_p).mean()
    ### END SOLUTION

# %% test="self-critic" points=2
check("self-critic", self_critic)

# %% [markdown]
# ### Exercise 11 · `leave-one-out` · 1 point · ●●○ · 8 minutes
#
# With $S$ draws, the baseline of each is the mean of the $S-1$ *others* (Kool et al., 2019; VIMCO, Mnih & Rezende,
# 2016, does the same for the importance-weighted bound):
#
# $$\frac1S\sum_{s=1}^S\operatorname{const}\Big(r_s-\frac1{S-1}\sum_{t\ne s}r_t\Big)\log q(z_s\mid x).$$
#
# Draws, rewards and log-probabilities are given; the observations of a batch stay apart.
#
# <details><summary>Hint: the mean of the others without a loop</summary>
# is (the sum over all − the own one) / (S − 1).
# </details>

# %% exercise="leave-one-out"
def leave_one_out(log_q: Tensor, reward: Tensor) -> Tensor:
    """A surrogate for each observation, in which every draw is judged by the mean reward of the others.

    Kool, van Hoof & Welling, *Buy 4 REINFORCE Samples, Get a Baseline for Free!*, 2019.

    Args:
        log_q: log q(z | x) of S ≥ 2 draws, shape (S, B).
        reward: of the same draws, shape (S, B).

    Returns:
        One surrogate for each observation, averaged over the draws, shape (B,).
    """
    ### BEGIN SOLUTION
    reward = reward.detach()
    others = (reward.sum(0) - reward) / (len(reward) - 1)
    return ((reward - others) * log_q).mean(0)
    ### END SOLUTION

# %% test="leave-one-out" points=1
check("leave-one-out", leave_one_out)

# %% [markdown]
# ### Experiment · Bias and variance, without chance
#
# Back to the problem with six codes, where we can try everything that an estimator may draw. `gradient_moments` runs it
# on each of the $6^S$ sequences of outcomes and returns the exact mean and variance of its gradient. Beside yours there
# are two more that are right:
#
# - *exact rate*: the gradient of $\mathrm{KL}(q\,\|\,p(z))$ is computed and only $\log p(x\mid z)$ is estimated;
# - *best constant*: no other constant baseline has a smaller variance. It is not quite the mean reward: draws count by
#   the size of $\nabla\log q$.
#
# and three that are **biased on purpose**:
#
# - *own mean*: subtracts the mean of all three rewards, the draw's own included;
# - *no rate*: rewards a draw with $\log p(x\mid z)$ alone;
# - *updated first*: updates the running mean, then subtracts it, with a decay of 0.9 and a batch of one.
#
# **Before you run it**, sort them: which has the smallest variance?

# %%
def judged_by_others(q: td.Distribution, log_joint, samples: int) -> Tensor:
    """A surrogate from your `leave_one_out`, averaged over the batch; log p(x, z) trains prior and decoder."""
    z = q.sample((samples,))
    log_p, log_q = log_joint(z), q.log_prob(z)
    return (leave_one_out(log_q, (log_p - log_q).detach()) + log_p.mean(0)).mean()


def rewarded(reward_of, samples: int = 1):
    """A surrogate with any reward, given those of the draws and the draws themselves."""

    def surrogate(q, log_joint):
        z = q.sample((samples,))
        log_q = q.log_prob(z)
        return (reward_of((log_joint(z) - log_q).detach(), z) * log_q).mean()

    return surrogate


def right_estimators(log_joint, log_likelihood) -> dict:
    """Unbiased surrogates of the problem with six codes, with what they need to know about it."""
    q = td.OneHotCategorical(logits=toy_logits)
    codes = torch.eye(SIX)
    rewards = log_joint(codes) - q.logits
    weight = q.probs * (codes - q.probs).square().sum(1)  # of each code's ∇log q
    best = (weight * rewards).sum() / weight.sum()
    centred = CentredReward(0.9)
    for _ in range(200):  # earlier batches, until the mean is what it should be
        centred((q.probs * rewards).sum().expand(1))

    def exact_rate(q, log_joint):
        estimated = rewarded(lambda reward, z: (z * log_likelihood).sum(-1))(q, log_joint)
        return estimated - (q.probs * (q.logits - toy_log_prior)).sum()

    return {
        "plain": partial(score_function_surrogate, samples=1),
        "S = 3": partial(score_function_surrogate, samples=3),
        "exact\nrate": exact_rate,
        "centred": lambda q, log_joint: nvil_surrogate(
            q, log_joint, Chain([copy.deepcopy(centred)]), torch.zeros(1, 1)
        )[0],
        "best\nconstant": rewarded(lambda reward, z: reward - best),
        "self-\ncritic": self_critic,
        "others,\nS = 3": partial(judged_by_others, samples=3),
    }


def wrong_estimators(log_joint, log_likelihood) -> dict:
    """Surrogates that are biased on purpose."""
    q = td.OneHotCategorical(logits=toy_logits)
    rewards = log_joint(torch.eye(SIX)) - q.logits
    mean, mean_likelihood = (q.probs * rewards).sum(), (q.probs * log_likelihood).sum()
    return {
        "own\nmean": rewarded(lambda reward, z: reward - reward.mean(0), samples=3),
        "no\nrate": rewarded(lambda reward, z: (z * log_likelihood).sum(-1) - mean_likelihood),
        "updated\nfirst": rewarded(lambda reward, z: reward - (0.9 * mean + 0.1 * reward)),
    }

# %% tags=["experiment"]
with experiment("bias-and-variance"):
    q = td.OneHotCategorical(logits=toy_logits[None])
    estimators = right_estimators(toy_log_joint, toy_log_likelihood)
    estimators |= wrong_estimators(toy_log_joint, toy_log_likelihood)
    moments = {
        name: gradient_moments(surrogate, q, toy_log_joint)
        for name, surrogate in estimators.items()
    }
    for name, found in moments.items():
        print(f"{name.replace(chr(10), ' '):>14}: {found}")
    size = next(iter(moments.values())).exact.norm()
    spread = [math.sqrt(found.total_variance) / size for found in moments.values()]
    display(
        show.bars(
            {"standard deviation": spread},
            ticks=list(moments),
            xlabel="estimator",
            ylabel="gradient lengths",
            title="Noise of one estimate, in lengths of the true gradient…",
        )
    )
    display(
        show.bars(
            {"bias": [100 * found.bias for found in moments.values()]},
            ticks=list(moments),
            xlabel="estimator",
            ylabel="% of the length",
            title="…and how far its mean is from the true gradient",
        )
    )

# %% [markdown]
# Read both pictures together.
#
# - The plain estimate is noise, about twelve times as long as what it estimates. Three draws divide its variance by
#   three; a baseline divides it by 25, with one draw.
# - Knowing the rate exactly hardly helps: the noise comes from the size of $\log p(x\mid z)$.
# - The mean of the rewards is practically as good as the best constant. Another draw is a noisy baseline, and doubles
#   the variance of the centred estimate; three draws that judge each other have the smallest of all that are right
#   (they also cost three; the mean of three centred estimates would have a third of the centred variance, and do better
#   still).
# - The smallest of *all* has a bias of exactly 33 %: *own mean* is *others* times $\frac{S-1}S$, a shorter step in the
#   right direction. *Updated first* is shorter by 10 %, as predicted. Both merely change the learning rate. *No rate*
#   is another matter: it climbs another hill, on which the encoder forgets that codes cost something.
#
# **No ordering is a theorem.** Move all rewards by a constant, so that they average zero. Every estimator with a
# baseline stays exactly as it was, and for the plain one…

# %% tags=["experiment"]
with experiment("no-theorem"):
    q = td.OneHotCategorical(logits=toy_logits[None])
    compared = {
        "plain, S = 3": partial(score_function_surrogate, samples=3),
        "others, S = 3": partial(judged_by_others, samples=3),
    }
    mean = (q.probs * (toy_log_joint(torch.eye(SIX)) - q.logits)).sum()
    size = gradient_moments(compared["plain, S = 3"], q, toy_log_joint).exact.norm()
    problems = {"near −12": toy_log_joint, "near 0": lambda z: toy_log_joint(z) - mean}
    spreads = {}
    for rewards, log_joint in problems.items():
        spreads[f"rewards {rewards}"] = [
            math.sqrt(gradient_moments(surrogate, q, log_joint).total_variance) / size
            for surrogate in compared.values()
        ]
    display(
        show.bars(
            spreads,
            ticks=list(compared),
            xlabel="estimator",
            ylabel="gradient lengths",
            title="Where rewards average 0, a baseline hurts",
        )
    )

# %% [markdown]
# The baseline estimates a number that is 0 already, and adds its own noise. So know the size of your rewards before you
# correct them. Those of images are large.

# %% [markdown]
# ## 7 · Ten templates without adding up
#
# Now the estimators at work, where we can check them: on the model of section 2, whose exact $\log p(x)$ is your sum
# over ten codes. An encoder with one hidden layer answers with ten probabilities; the decoder, another network with one
# hidden layer, turns each one-hot code into a template. Training on the exact $\log p(x)$ is the reference. Then, for
# the *same number of epochs* and from the same initial weights, come the score-function estimators.
#
# The model and the training loop come from `lvmlib.models`, which knows no estimator: you hand it yours.
#
# ```python
# model = models.LatentVariableModel(prior, posterior, observation)   # modules that return distributions
# model.log_joint(x, z); model.posterior(x); model.sample(40)
# models.train(model, images, dev, estimator=…, control_variates=…, epochs=…)
# ```
#
# An estimator is a function `(q, log_joint, x) -> (surrogate, loss)`. The first is ascended by prior, decoder and
# encoder, the second descended by the control variates, each with an RMSprop of its own.
#
# **Two precautions,** the same for all:
#
# - *Cooling.* At the beginning no template means anything, but rewards differ by a hundred nats. The encoder commits to
#   whatever did best by chance, and templates that are never drawn never learn. So let the rate count a hundredfold at
#   first, and once after most of the training: $-(\text{distortion}+\beta_t\cdot\text{rate})$ with $\beta_t$ falling
#   from 100 to 1. A large β keeps $q$ near the prior, and everybody gets a turn. It is the opposite of a VAE's warm-up,
#   and for EM it is known as *deterministic annealing*.
# - *Watching.* Before the first step, the control variates look at some batches, so that the running means start where
#   the rewards are. (RMSprop would remember the huge gradients of the first steps for a thousand more.)

# %%
choice_sizes = profile(
    smoke=dict(epochs=1, first_weight=100.0, watched=5),
    cpu=dict(epochs=16, first_weight=100.0, watched=50),
    full=dict(epochs=40, first_weight=500.0, watched=50),
)
BATCH = 64
TEN = torch.eye(10, device=device)  # every code


def evidence(model, x: Tensor, codes: Tensor) -> Tensor:
    """log p(x) of images, (batch,), by your sum over all codes, (K, latent)."""
    logits = model.observation(codes).base_dist.logits.flatten(1)
    return in_parts(x.flatten(1), model.prior().log_prob(codes), logits)[0]


def exact_marginal(model, chain, q, log_joint, x):
    """No estimate at all: the exact log p(x). The encoder has nothing to do."""
    surrogate = evidence(model, x, TEN).mean()
    return surrogate, surrogate.new_zeros(())


def plain(model, chain, q, log_joint, x):
    surrogate = score_function_surrogate(q, log_joint, samples=1).mean()
    return surrogate, surrogate.new_zeros(())


def one_draw(model, chain, q, log_joint, x):
    return nvil_surrogate(q, log_joint, chain, x)


def self_critical(model, chain, q, log_joint, x):
    surrogate = self_critic(q, log_joint).mean()
    return surrogate, surrogate.new_zeros(())


def three_draws(model, chain, q, log_joint, x):
    surrogate = judged_by_others(q, log_joint, samples=3)
    return surrogate, surrogate.new_zeros(())

# %%
def rate_weight(step: int, steps: int, first: float) -> float:
    """β: falls from `first` to 1 by the same factor every step, and stays there for the last fifth."""
    return max(1.0, first ** (1 - step / (0.8 * steps)))


def weighted(log_joint, model, q, beta: float):
    """What an estimator of the ELBO takes for log p(x, z), so that it estimates −(distortion + β · rate)."""
    return lambda z: log_joint(z) + (beta - 1) * (
        model.prior().log_prob(z) - q.log_prob(z).detach()
    )


def train_by_score(name, model, estimator, chain, sizes, after=lambda epoch, beta: None):
    """Train a model by a score-function estimator while the weight of the rate falls; returns the history.

    Curves go to runs/04-nvil/NAME for TensorBoard.
    """
    order = torch.Generator().manual_seed(0)
    each = math.ceil(len(clothes) / BATCH)
    beta_at = partial(rate_weight, steps=sizes.epochs * each, first=sizes.first_weight)
    steps = count()

    def estimate(q, log_joint, x, beta=None):
        beta = beta or beta_at(next(steps))
        return estimator(model, chain, q, weighted(log_joint, model, q, beta), x)

    with torch.no_grad():
        for x in clothes.images[: BATCH * sizes.watched].to(device).split(BATCH):
            estimate(model.posterior(x), partial(model.log_joint, x), x, beta=beta_at(0))
    return models.train(
        model,
        clothes,
        dev,
        estimator=estimate,
        control_variates=chain,
        epochs=sizes.epochs,
        batch_size=BATCH,
        lr=1.5e-3,
        dev_draws=5,
        generator=order,
        on_epoch=lambda epoch: after(epoch, beta_at(epoch * each)),
        log=f"runs/04-nvil/{name}",
    )

# %% [markdown]
# After each epoch we measure two things on held-out images: the exact $-\log p(x)$, and how noisy the estimator is at
# that moment. For the noise, the exact gradient in the logits of $q(z\mid x)$ comes from all ten codes; it is the mean
# from which the estimates deviate.

# %%
def gradient_noise(estimator, model, chain, x: Tensor, beta: float) -> float:
    """Mean squared distance of an estimate from the exact gradient, in the ten logits of one image."""
    chain = copy.deepcopy(chain)  # which should learn nothing from being measured
    with torch.no_grad():
        logits = model.posterior(x).logits
        joint = weighted(partial(model.log_joint, x), model, model.posterior(x), beta)
        table = joint(TEN[:, None].expand(-1, len(x), -1)).T

    def gradient(surrogate_of):
        leaf = logits.clone().requires_grad_()
        q = td.OneHotCategorical(logits=leaf)
        return len(x) * torch.autograd.grad(surrogate_of(q), leaf)[0]

    def estimate(q):
        return estimator(model, chain, q, lambda z: (z * table).sum(-1), x)[0]

    exact = gradient(lambda q: (q.probs * (table - q.logits)).sum(-1).mean())
    distances = [(gradient(estimate) - exact).square().sum(-1).mean() for _ in range(20)]
    return torch.stack(distances).mean().item()


def train_choices(name, estimator, chain):
    """Train a new model of ten choices; returns it with its nats and its noise after each epoch."""
    seed_all(5)
    model = models.LatentVariableModel(
        models.CategoricalPrior(10),
        models.encoder(IMAGE, 10, models.Categorical(), hidden=data_sizes.hidden),
        models.decoder(10, IMAGE, models.Bernoulli(), hidden=data_sizes.hidden),
    ).to(device)
    x = dev.images.to(device)
    curves = {"nats": [], "noise": []}

    def after(epoch: int, beta: float) -> None:
        with torch.no_grad():
            curves["nats"].append(-evidence(model, x, TEN).mean().item())
        if estimator is not exact_marginal:
            curves["noise"].append(gradient_noise(estimator, model, chain, x[:100], beta))

    train_by_score(name, model, estimator, chain, choice_sizes, after)
    return model, curves


class LearnedBaseline(nn.Module):
    """Your `baseline_advantage` as a control variate, with a small network."""

    def __init__(self):
        super().__init__()
        inputs, hidden = math.prod(IMAGE), 100
        self.network = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, 1)
        )

    def forward(self, reward: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return baseline_advantage(self.network, reward, x)

# %% tags=["experiment"]
with experiment("by-exact-gradients"):
    exact_model, exact_curves = train_choices("exact", exact_marginal, nn.ModuleList())
    exact_nats = exact_curves["nats"][-1]
    with torch.no_grad():
        shares, templates = exact_model.prior().probs, exact_model.observation(TEN).mean
    display(
        show.grid(
            templates,
            columns=10,
            titles=[f"{share:.0%}" for share in shares],
            title=f"Trained on the exact log p(x): {exact_nats:.1f} nats; EM: {em_floor:.1f}",
        )
    )

# %% [markdown]
# That is the goal. And this is the start: the plain estimator, with nothing subtracted. **Guess first:** how far from
# the exact curve does it end?
#
# To watch a training live, open a terminal in this folder and run `tensorboard --logdir runs` (on Colab:
# `%load_ext tensorboard`, then `%tensorboard --logdir runs`).

# %%
def report(trained: dict) -> None:
    """−log p(x) of each training, its distance from exact training, and −ELBO, on held-out images."""
    for name, (model, curves) in trained.items():
        nats, elbo = curves["nats"][-1], model.measure(dev.images, 10)["elbo"].mean()
        print(
            f"{name:>16}: −log p(x) {nats:.1f} nats, {nats - exact_nats:+.1f} from exact training"
            f" · −ELBO {-elbo:.1f}"
        )


def nats_by_epoch(trained: dict, title: str):
    """Curves of −log p(x) beside those of exact training and of EM."""
    start = choice_sizes.epochs // 4  # the first fall would dwarf what comes after
    nats = {name: curves["nats"][start:] for name, (_, curves) in trained.items()}
    nats["exact log p(x)"] = exact_curves["nats"][start:]
    nats["EM"] = [em_floor] * (choice_sizes.epochs - start)
    epochs = range(start + 1, choice_sizes.epochs + 1)
    return show.curves(nats, x=epochs, ylabel="−log p(x) in nats", title=title)

# %% tags=["experiment"]
with experiment("plain-estimates"):
    trained = {"plain": train_choices("plain", plain, nn.ModuleList())}
    report(trained)
    behind = trained["plain"][1]["nats"][-1] - exact_nats
    title = f"The plain estimator ends {behind:.0f} nats behind".replace("-", "−")
    display(nats_by_epoch(trained, title))
    plain_model = trained

# %% [markdown]
# ### Experiment · One draw for each image
#
# Now NVIL's control variates. (“All three” are centred, learned and scaled, in this order.)

# %% tags=["experiment"]
with experiment("one-draw-each"):
    seed_all(4)
    chains = {
        "centred": Chain([CentredReward(0.9)]),
        "centred, scaled": Chain([CentredReward(0.9), ScaledReward(0.9)]),
        "learned baseline": Chain([LearnedBaseline()]),
        "all three": Chain([CentredReward(0.9), LearnedBaseline(), ScaledReward(0.9)]),
    }
    trained = {
        name: train_choices(name, one_draw, chain.to(device)) for name, chain in chains.items()
    }
    report(trained)
    display(nats_by_epoch(plain_model | trained, "One draw for each image"))
    one_draw_models = trained

# %% [markdown]
# ### Experiment · Draws that judge each other
#
# Two and three draws for each image, with no memory and no further network. (They cost more time: two or three codes
# are decoded for each image instead of one.)

# %% tags=["experiment"]
with experiment("draws-that-judge"):
    trained = {
        "self-critic": train_choices("self-critic", self_critical, nn.ModuleList()),
        "others, S = 3": train_choices("others", three_draws, nn.ModuleList()),
    }
    report(trained)
    display(nats_by_epoch(plain_model | trained, "Two and three draws for each image"))
    judged_models = trained

# %% [markdown]
# And the reason, measured after each epoch of each training:

# %% tags=["experiment"]
with experiment("noise-while-training"):
    trained = plain_model | one_draw_models | judged_models
    noise = {
        name: curves["noise"]
        for name, (_, curves) in trained.items()
        if name not in ("centred, scaled", "all three")
    }
    display(
        show.curves(
            noise,
            ylabel="variance, nats²",
            title="Variance of the encoder's gradient",
            logarithmic=True,
        )
    )

# %% [markdown]
# What to see:
#
# - The **plain** estimator learns something, slowly, and stays far behind.
# - **A single control variate** lowers the variance, the running mean about tenfold, and gains nats by it. The learned
#   baseline alone gains less: it has to learn what the mean knows from the start, that rewards lie below −200.
#   **All three** together end within a few nats of training on the exact $\log p(x)$, after the same number of epochs.
# - **Draws that judge each other** end closer still, with no memory and no further network. Their gradient is more
#   than a hundred times quieter than the plain one.
# - **Scaling** lowers no noise, and RMSprop divides by the size of the gradient anyway. If its curve ends elsewhere
#   than the centred one, that is luck: a template that nobody draws for a while is lost for good and costs several
#   nats. So a single run says little about a difference of five nats, and the picture of the noise says more. (The two
#   estimators that scale are missing there. They estimate the gradient divided by $s$, whose variance is in another
#   unit.)
# - −ELBO lies some nats above $-\log p(x)$: that is $\mathrm{KL}(q\,\|\,p(z\mid x))$, what the encoder gets wrong.
#
# All of them end in local optima. EM, which had several starts, found the best one; exact training, which had one,
# comes second.
#
# Here is what each model draws: its ten templates, the most probable first.

# %% tags=["experiment", "cover"]
with experiment("what-each-draws"), torch.no_grad():
    rows = {
        "EM": (em_log_prior, em_templates.sigmoid().view(10, *IMAGE)),
        "exact": (exact_model.prior().logits, exact_model.observation(TEN).mean),
    }
    chosen = {"S = 3": judged_models["others, S = 3"], "plain": plain_model["plain"]}
    for name, (model, _) in chosen.items():
        rows[name] = model.prior().logits, model.observation(TEN).mean
    sorted_rows = [images[prior.argsort(descending=True)].cpu() for prior, images in rows.values()]
    display(
        show.traversal(
            torch.stack(sorted_rows),
            row_labels=list(rows),
            xlabel="templates, from the most to the least probable",
            title="What each code draws",
        )
    )

# %% [markdown]
# ## 8 · A byte of bits
#
# Ten templates are few. Let the code be $K$ *independent bits*: $2^K$ different codes from $K$ numbers, which the
# decoder combines. Eight bits (in the `cpu` profile) make 256 codes, still few enough for your exact sum, to check
# everything by; training sees three draws for each image and no sum.

# %%
bit_sizes = profile(
    smoke=dict(bits=4, epochs=1, first_weight=100.0, watched=1, images=32, doublings=2),
    cpu=dict(bits=8, epochs=16, first_weight=100.0, watched=1, images=200, doublings=9),
    full=dict(bits=12, epochs=60, first_weight=500.0, watched=1, images=500, doublings=9),
)
BITS = bit_sizes.bits

# %% tags=["experiment"]
with experiment("bits-reconstructed"):
    seed_all(5)
    model = models.LatentVariableModel(
        models.BitsPrior(BITS),
        models.encoder(IMAGE, BITS, models.Bernoulli(), hidden=data_sizes.hidden),
        models.decoder(BITS, IMAGE, models.Bernoulli(), hidden=data_sizes.hidden),
    ).to(device)
    train_by_score("bits", model, three_draws, nn.ModuleList(), bit_sizes)
    x = dev.images[:12].to(device)
    draws = model.posterior_samples(x, 2)
    labels = ["original", "one draw", "another"]
    title = f"Through {BITS} bits and back"
    display(show.reconstructions(x, *draws, labels=labels, title=title))
    title = "New clothes: bits from the prior, decoded"
    display(show.grid(model.sample(40), columns=10, title=title))
    bit_model = model

# %% [markdown]
# How good are the bounds? Your sum over all codes says. The importance-weighted bound of lab 03, the logarithm of
# the mean weight $p(x,z)/q(z\mid x)$, stands for 1, 2, 4, … draws.

# %%
def all_codes(bits: int) -> Tensor:
    """Every combination of bits, shape (2^bits, bits)."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0], device=device)] * bits)


def log_weights(model, x: Tensor, draws: int) -> Tensor:
    """log p(x, z) − log q(z | x) of codes from the encoder, shape (draws, batch)."""
    q = model.posterior(x)
    z = q.sample((draws,))
    return model.log_joint(x, z) - q.log_prob(z)

# %% tags=["experiment"]
with experiment("bits-and-bounds"), torch.no_grad():
    seed_all(6)
    x = dev.images[: bit_sizes.images].to(device)
    codes = all_codes(BITS)
    log_p_x = evidence(bit_model, x, codes).mean().item()
    draws = 2**bit_sizes.doublings
    log_w = torch.cat([log_weights(bit_model, part, draws) for part in x.split(10)], 1)
    doublings = range(bit_sizes.doublings + 1)
    groups = [log_w.unflatten(0, (-1, 2**n)).logsumexp(1) - n * math.log(2) for n in doublings]
    display(
        show.curves(
            {
                "exact log p(x)": [log_p_x] * len(doublings),
                "importance-weighted": [bound.mean().item() for bound in groups],
                "ELBO": [log_w.mean().item()] * len(doublings),
            },
            x=list(doublings),
            xlabel="doublings of the number of draws",
            ylabel="nats",
            title=f"{len(codes):,} codes: log p(x) is {log_p_x:.1f} nats".replace("-", "−"),
        )
    )

# %% [markdown]
# With one draw the importance-weighted bound is the ELBO. More draws close the gap, and on average never cross the
# exact line: a bound that does has a bug. What an encoder of *independent* bits cannot say is the ELBO's part of the
# gap; weights make up for it, slowly.
#
# What does a bit mean? Each row is a garment, its reconstruction from the most probable code, and then what the decoder
# makes of the code with one bit flipped.

# %% tags=["experiment"]
with experiment("one-bit-flipped"), torch.no_grad():
    shown = dev.images[[int((dev.labels == label).nonzero()[0]) for label in (0, 1, 7, 8)]]
    codes = bit_model.posterior(shown.to(device)).base_dist.probs.round()
    flipped = (codes[:, None] - torch.eye(BITS, device=device)).abs()
    decoded = bit_model.observation(torch.cat([codes[:, None], flipped], 1)).mean.cpu()
    display(
        show.traversal(
            torch.cat([shown[:, None], decoded], 1),
            column_labels=["image", "code", *range(1, BITS + 1)],
            base=1,
            xlabel="the bit that is flipped",
            title="One bit flipped at a time",
        )
    )

# %% [markdown]
# Some bits change the kind of garment, some its sleeves or its width; and the same bit can mean one thing to a shirt
# and another to a shoe.

# %% [markdown]
# ## 9 · When there is a path
#
# The score-function estimator asks little: draws and log-probabilities. It works for Gaussians, too. But those can do
# more: $z=\mu+\sigma\varepsilon$ hands on the derivative of $\log p(x,z)$ itself, and so tells *in which direction* the
# code should move, where the score function only says how good the draw was. Lab 03 used that; `q.rsample()` is the
# same in `torch.distributions`. How much is it worth?
#
# First a Gaussian whose parameters depend on something else, a *conditional probability distribution*, CPD for short.
#
# ### Exercise 12 · `gaussian-cpd` · 2 points · ●○○ · 12 minutes
#
# One hidden layer of `hidden` units, then a mean and a standard deviation for every entry of the outcome. An outcome
# has any shape, such as `(12,)` or `(4, 5)`, and is *one* event: `log_prob` gives one number for each row of the input.
# The standard deviation is positive and has a **floor**: the network may ask for σ = 0, and a density without end would
# follow.
#
# <details><summary>Hint: positive, with a floor</summary>
# <code>F.softplus(raw) + 1e-4</code>. Without the second term softplus(−200) is exactly 0 in float32, and <code>td.Normal</code> raises an error.
# </details>
#
# <details><summary>Hint: shapes</summary>
# Let the last layer give <code>2 * math.prod(outcome_shape)</code> numbers, cut them in half by
# <code>chunk(2, -1)</code>, and bring each half into shape by
# <code>unflatten(-1, outcome_shape)</code>. Leading axes then may be any.
# </details>
#
# <details><summary>Hint: one event</summary>
# <code>td.Independent(td.Normal(mean, scale), len(outcome_shape))</code>
# </details>

# %% exercise="gaussian-cpd"
class GaussianCPD(nn.Module):
    """A diagonal Gaussian whose mean and scale come from an input, by a network with one hidden layer.

    Its `forward` takes inputs (…, num_inputs) and returns a `td.Independent` of a `td.Normal`, with batch shape (…)
    and event shape outcome_shape.

    Args:
        outcome_shape: shape of one outcome, for example (12,) or (4, 5).
        num_inputs: length of an input.
        hidden: units of the hidden layer.
    """

    def __init__(self, outcome_shape: tuple[int, ...], num_inputs: int, hidden: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.outcome_shape = tuple(outcome_shape)
        self.network = nn.Sequential(
            nn.Linear(num_inputs, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 2 * math.prod(outcome_shape)),
        )

    def forward(self, inputs: Tensor) -> td.Independent:
        mean, raw = (
            half.unflatten(-1, self.outcome_shape) for half in self.network(inputs).chunk(2, -1)
        )
        return td.Independent(td.Normal(mean, F.softplus(raw) + 1e-4), len(self.outcome_shape))
        ### END SOLUTION

# %% test="gaussian-cpd" points=2
check("gaussian-cpd", GaussianCPD)

# %% [markdown]
# Your CPD becomes the posterior of a model with a Gaussian latent. We train it twice from the same weights: by the path
# derivative with *one* draw, and by the score function with *five* draws that judge each other. The gradients of the
# latter are cut off at a length of 100: where σ gets small, $\nabla\log q$ gets large, and without the cut one unlucky
# draw throws the training off for good. (The optimizers differ as well: `models.train` takes Adam for the path, and
# RMSprop for the noisier score.)

# %%
def by_others(samples: int):
    """An estimator for `models.train` from your `leave_one_out`; it has no control variates to train."""
    return lambda q, log_joint, x: (judged_by_others(q, log_joint, samples), x.new_zeros(()))


path_sizes = profile(
    smoke=dict(latent=4, epochs=1, images=8, estimates=20),
    cpu=dict(latent=8, epochs=12, images=64, estimates=200),
    full=dict(latent=32, epochs=60, images=64, estimates=500),
)


class OfFlatImages(nn.Module):
    """A conditional distribution of vectors, given images."""

    def __init__(self, conditional: nn.Module):
        super().__init__()
        self.conditional = conditional

    def forward(self, x: Tensor) -> td.Distribution:
        return self.conditional(x.flatten(-3))


def path_derivative(q: td.Distribution, log_joint) -> Tensor:
    """The ELBO itself, from one draw that hands gradients on."""
    z = q.rsample()
    return (log_joint(z) - q.log_prob(z)).mean()

# %% tags=["experiment"]
with experiment("path-against-score"):
    gaussian_models, elbos = {}, {}
    ways = {"path, 1 draw": (None, None), "score, 5 draws": (by_others(5), 100.0)}
    for name, (estimator, clip) in ways.items():
        order = seed_all(6)
        posterior = OfFlatImages(
            GaussianCPD((path_sizes.latent,), math.prod(IMAGE), data_sizes.hidden[0])
        )
        model = models.LatentVariableModel(
            models.GaussianPrior(path_sizes.latent),
            posterior,
            models.decoder(
                path_sizes.latent, IMAGE, models.Bernoulli(), hidden=data_sizes.hidden
            ),
        )
        history = models.train(
            model,
            clothes,
            dev,
            estimator=estimator,
            epochs=path_sizes.epochs,
            clip=clip,
            generator=order,
        )
        gaussian_models[name], elbos[name] = model, [-nats for nats in history["dev/elbo"]]
    display(
        show.curves(
            elbos,
            ylabel="−ELBO in nats",
            title="−ELBO at the end: " + " and ".join(f"{nats[-1]:.1f}" for nats in elbos.values()),
        )
    )
    two_gaussians = gaussian_models

# %% [markdown]
# Five draws and a baseline come close, here with eight latents. And the noise? We take the model trained by path
# derivatives and estimate the gradient in the posterior's means again and again. No enumeration is possible, so this is
# itself an estimate.

# %%
def noise_in_means(surrogate, model, x: Tensor, estimates: int) -> float:
    """Variance of the gradient in the posterior's means of one image, summed over the latents."""
    with torch.no_grad():
        normal = model.posterior(x).base_dist
    gradients = []
    for _ in range(estimates):
        mean = normal.loc.clone().requires_grad_()
        q = td.Independent(td.Normal(mean, normal.scale), 1)
        total = len(x) * surrogate(q, lambda z: model.log_joint(x, z)).mean()
        gradients.append(torch.autograd.grad(total, mean)[0])
    return torch.stack(gradients).var(0).sum(-1).mean().item()

# %% tags=["experiment"]
with experiment("noise-of-path-and-score"):
    seed_all(7)
    x = dev.images[: path_sizes.images].to(device)
    surrogates = {
        "path,\n1 draw": path_derivative,
        "score,\n1 draw": partial(score_function_surrogate, samples=1),
        "self-critic,\n2 draws": self_critic,
        "others,\n5 draws": partial(judged_by_others, samples=5),
    }
    variances = {
        name: noise_in_means(surrogate, two_gaussians["path, 1 draw"], x, path_sizes.estimates)
        for name, surrogate in surrogates.items()
    }
    for name, variance in variances.items():
        print(f"{name.replace(chr(10), ' '):>21}  variance {variance:12,.1f}")
    display(
        show.bars(
            {"variance": [math.log10(variance) for variance in variances.values()]},
            ticks=list(variances),
            xlabel="estimator",
            ylabel="log₁₀ of the variance",
            title="Noise in the gradient of the posterior's means",
        )
    )

# %% [markdown]
# Each unit of this axis is a factor of ten. Wherever there is a path, take it; where there is none, you now know what to do.

# %% [markdown]
# ## 10 · Mixtures of codes
#
# Between one choice and a Gaussian lies the mixture of section 1: a choice, and then a Gaussian. As a **prior** it is
# learned along with the model and needs nothing new: $z$ comes from the encoder's Gaussian, and the path derivative
# passes the mixture's $\log p(z)$ like any other function. As a **posterior** it needs what you have built: which
# component was drawn is a choice, `rsample` does not exist, and the model is trained by the score function.
#
# We take two latents, so that everything can be drawn.

# %%
mixture_sizes = profile(
    smoke=dict(epochs=1, components=4, posterior=2),
    cpu=dict(epochs=14, components=10, posterior=4),
    full=dict(epochs=60, components=10, posterior=8),
)


def plane_model(family):
    """Two latents, a learned mixture as prior."""
    return models.LatentVariableModel(
        models.MixturePrior(2, mixture_sizes.components),
        models.encoder(IMAGE, 2, family, hidden=data_sizes.hidden),
        models.decoder(2, IMAGE, models.Bernoulli(), hidden=data_sizes.hidden),
    )


def prior_density(model):
    """p(z) in the plane by your function, z of shape (n, 2)."""
    prior = model.prior()
    logits, components = prior.mixture_distribution.logits, prior.component_distribution
    return lambda z: mixture_log_prob(z, logits, components.mean, components.stddev).exp()

# %% tags=["experiment"]
with experiment("mixtures-of-codes"):
    settings = {
        "Gaussian posterior, path": (models.Gaussian(), None, 2e-3),
        "mixture posterior, score": (models.Mixture(mixture_sizes.posterior), by_others(5), 1e-3),
    }
    found, densities, samples, words = {}, {}, {}, []
    for name, (family, estimator, lr) in settings.items():
        order = seed_all(8)
        model = plane_model(family)
        history = models.train(
            model,
            clothes,
            dev,
            estimator=estimator,
            epochs=mixture_sizes.epochs,
            lr=lr,
            generator=order,
        )
        found[name], densities[name] = model, prior_density(model)
        with torch.no_grad():
            samples[name] = model.posterior(dev.images[:500].to(device)).sample()
        words.append(f"{name}: −ELBO {-history['dev/elbo'][-1]:.1f}")
    print("\n".join(words))
    display(
        show.landscape(
            densities,
            samples=samples,
            reach=6,
            xlabel="z₁",
            ylabel="z₂",
            title="Learned priors p(z), and codes of test images",
        )
    )
    plane_models = found

# %% tags=["experiment"]
with experiment("what-components-draw"), torch.no_grad():
    seed_all(9)
    model = plane_models["Gaussian posterior, path"]
    prior = model.prior()
    share = prior.mixture_distribution.probs
    order = share.argsort(descending=True)
    drawn = prior.component_distribution.sample((10,)).transpose(0, 1)[order]
    display(
        show.traversal(
            model.observation(drawn).mean,
            row_labels=[f"{100 * weight:.0f} %" for weight in share[order].tolist()],
            ylabel="component, by its share",
            xlabel="ten draws from the component",
            title="What each component of the prior draws",
        )
    )

# %% [markdown]
# You may have hoped for one component a class of clothes: shoes here, shirts there. Some components do specialise;
# several share a kind, others are seldom drawn.
#
# ### Question 2 · `lazy-prior` · 2 points · 6 minutes
#
# The labels were not used, but the prior was free to place a component on each kind of garment. Why does a learned
# mixture prior rarely specialise by itself? And name one change of the model or of the training that would make it.

# %% [markdown] think="lazy-prior" points=2
# Your answer to *lazy-prior*: a reason that follows from the ELBO, and one change.
#
# ### BEGIN MARK SCHEME
# Reason (1 point; any one that follows from the ELBO):
# - The prior enters through the rate alone, KL(q(z|x) ‖ p(z)). For given codes the best prior is the one that comes closest to the *density* of the codes of all images together. How that
# density is divided into components, and whether the division agrees with labels, the ELBO cannot see: no label occurs in it.
# - Encoder and decoder adapt to the prior as it is at the start, one heap of overlapping components. A flexible decoder does as well with kinds that border on each other, so no gaps arise that a component could fill.
# - Components that start alike get nearly the same gradients; one of small weight gets hardly any (the rich get richer), and no term asks that all be used.
#
# Change (1 point; any one): labels for some images; a discrete latent of its own beside the Gaussian one, which the encoder has to infer, so that the component is part of the code; starting the components far
# apart and narrow, or at the means of clustered codes; a weaker decoder; a term that rewards even use, such as the entropy of the shares; a prior made of pseudo-inputs (VampPrior).
# ### END MARK SCHEME

# %% [markdown]
# ### What all these codes cost
#
# Every model of this lab is a point in the plane of *rate* and *distortion*. Their sum is −ELBO, so on lines from the
# upper left to the lower right it is the same. A choice of ten has hardly more to say than $\log 10=2.3$ nats.

# %% tags=["experiment"]
with experiment("rate-and-distortion"):
    seed_all(10)
    compared = {
        "ten templates": judged_models["others, S = 3"][0],
        f"{bit_sizes.bits} bits": bit_model,
        **{f"Gaussian, {name.split(',')[0]}": model for name, model in two_gaussians.items()},
        **{f"plane, {name.split()[0]}": model for name, model in plane_models.items()},
    }
    places = {}
    for name, model in compared.items():
        measured = model.measure(dev.images, 10)
        rate, distortion = measured["rate"].mean().item(), measured["distortion"].mean().item()
        places[name] = rate, distortion
        total = rate + distortion
        print(f"{name:>16}: rate {rate:5.1f} + distortion {distortion:5.1f} = {total:5.1f} nats")
    title = "Grey lines: the same −ELBO, 10 nats apart"
    display(show.rate_distortion(places, title=title))

# %% [markdown]
# And what the best of them knows: the codes of test images, laid out in the plane by t-SNE, which keeps neighbours
# together (and means nothing by distances between groups). No model was told the classes.

# %% tags=["experiment"]
with experiment("codes-by-tsne"), torch.no_grad():
    from sklearn.manifold import TSNE

    seed_all(11)
    some = dev[:500]
    codes = two_gaussians["path, 1 draw"].posterior(some.images.to(device)).mean.cpu()
    flat = TSNE(random_state=0, perplexity=min(30, len(codes) // 4)).fit_transform(codes.numpy())
    display(
        show.scatter(
            torch.from_numpy(flat),
            labels=some.labels,
            classes=some.classes,
            xlabel="t-SNE, first coordinate",
            ylabel="t-SNE, second coordinate",
            title="Codes of test images, by class",
        )
    )
    display(
        show.grid(
            two_gaussians["path, 1 draw"].sample(30), columns=15, title="Samples from the prior"
        )
    )

# %% [markdown]
# ## 11 · Challenge: half a path
#
# For a mixture posterior we gave up the path altogether. That is a waste: only the *choice of the component* has no
# derivative; inside the component there is one. Use both! With a mixture over the real line,
#
# $$q(z)=\sum_c\pi_c\,\mathcal N(z\mid m_c,s_c^2),\qquad z=m_c+s_c\,\varepsilon,\qquad f(z)=\log p(x,z)-\log q(z),$$
#
# $$\nabla\,\mathbb E_q[f]=\mathbb E_{c,\varepsilon}\big[\underbrace{f(z)\,\nabla\log\pi_c}_{\text{score of the choice}}+\underbrace{\nabla f(m_c+s_c\varepsilon)}_{\text{path inside}}\big].$$
#
# ### Exercise 13 · `hybrid-mixture` · 3 bonus points · ●●● · 20 minutes
#
# One choice and one noise are given. The check tries all components, and the noise by quadrature: nodes and weights that
# integrate against a Gaussian almost exactly.
#
# <details><summary>Hint: which density?</summary>
# log q(z) is that of the whole <em>mixture</em>: the same z might have come from another component. With the density of
# the chosen component alone the gradient is off: by a few per cent where components lie apart, which no training curve
# would show, and by far more where they overlap.
# </details>
#
# <details><summary>Hint: two terms</summary>
# <code>f.detach() * log_pi[component] + f</code>, where f is computed from a z that still hangs on means and log_scales.
# </details>

# %% exercise="hybrid-mixture"
def hybrid_surrogate(
    logits: Tensor, means: Tensor, log_scales: Tensor, log_joint, component: Tensor, eps: Tensor
) -> Tensor:
    """A surrogate of the ELBO for a one-dimensional mixture posterior: score function for the choice, path inside.

    Args:
        logits: of the components, not normalised, shape (C,).
        means: shape (C,).
        log_scales: logarithms of the standard deviations, shape (C,).
        log_joint: function z -> log p(x, z) in nats, for a 0-d z.
        component: the one that was drawn, 0 to C − 1, a 0-d integer tensor.
        eps: standard normal noise, 0-d.

    Returns:
        A 0-d tensor to be ascended.
    """
    ### BEGIN SOLUTION
    log_pi = logits.log_softmax(0)
    z = means[component] + log_scales[component].exp() * eps
    log_q = (log_pi + td.Normal(means, log_scales.exp()).log_prob(z)).logsumexp(0)
    f = log_joint(z) - log_q
    return f.detach() * log_pi[component] + f
    ### END SOLUTION

# %% test="hybrid-mixture" points=3
check("hybrid-mixture", hybrid_surrogate)

# %% [markdown]
# Watch it work. The target has two hills, a small one and a large one, and $q$ is a mixture of two Gaussians that
# starts between them, with equal weights. Once with your surrogate, and once biased on purpose, by the path alone.
# **Guess:** what does the path not learn?

# %%
hybrid_sizes = profile(smoke=dict(steps=20), cpu=dict(steps=700), full=dict(steps=3000))


def two_hills(z: Tensor) -> Tensor:
    """The log density of a mixture of two Gaussians, for z of any shape."""
    hills = td.Normal(torch.tensor([-2.0, 1.5]), torch.tensor([0.5, 0.8])).log_prob(z[..., None])
    return (hills + torch.tensor([0.2, 0.8]).log()).logsumexp(-1)


def path_alone(logits, means, log_scales, log_joint, component, eps) -> Tensor:
    """What is left of the hybrid surrogate without the score of the choice."""
    z = means[component] + log_scales[component].exp() * eps
    scales = log_scales.exp()[:, None]
    return log_joint(z) - mixture_log_prob(z.view(1, 1), logits, means[:, None], scales)[0]


def fit_hills(surrogate) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, means and log scales of a mixture of two Gaussians that a surrogate has fitted to the hills."""
    starts = torch.zeros(2), torch.tensor([-1.0, 1.0]), torch.full((2,), -0.5)
    parameters = [start.requires_grad_() for start in starts]
    optimizer = torch.optim.Adam(parameters, lr=0.03)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, hybrid_sizes.steps)
    for _ in range(hybrid_sizes.steps):
        components = td.Categorical(logits=parameters[0].detach()).sample((4,))
        draws = [surrogate(*parameters, two_hills, c, torch.randn(())) for c in components]
        optimizer.zero_grad()
        (-torch.stack(draws).mean()).backward()
        optimizer.step()
        slower.step()
    return tuple(parameter.detach() for parameter in parameters)

# %% tags=["experiment"]
with experiment("half-a-path"):
    z = torch.linspace(-5, 5, 201)
    curves = {"target": two_hills(z).exp().tolist()}
    for name, surrogate in {"hybrid": hybrid_surrogate, "path alone": path_alone}.items():
        seed_all(12)
        logits, means, log_scales = fit_hills(surrogate)
        scales = log_scales.exp()[:, None]
        learned = mixture_log_prob(z[:, None], logits, means[:, None], scales).exp()
        curves[f"{name}: {logits.softmax(0)[0]:.0%} left"] = learned.tolist()
    display(
        show.curves(
            curves,
            x=z.tolist(),
            xlabel="z",
            ylabel="density",
            title="20 % of the target are on the left",
        )
    )

# %% [markdown]
# Both find the hills. But the path only moves what has been chosen; how often to choose it is a question of reward, and
# without the score the weights merely wander about where they started.

# %% [markdown]
# ## Summary
#
# - A latent with few values is summed exactly. Do so whenever you can, and check every approximation against it where
#   you can.
# - The score-function estimator needs draws and log-probabilities only. It is unbiased; its noise grows with the size
#   of the rewards.
# - A baseline may depend on anything but the draw. A running mean, a network that looks at $x$, or other draws: each
#   removes what was to be expected. Scaling is no control variate, and updating first is a bias.
# - A bias is found by trying everything that can be drawn, not by looking at training curves.
# - Where there is a path, its derivative is worth many draws. A mixture has half a path.
#
# ## Going further
#
# - Mnih & Rezende, *Variational Inference for Monte Carlo Objectives* (VIMCO), 2016: leave-one-out for the
#   importance-weighted bound.
# - Tucker et al., *REBAR*, 2017; Grathwohl et al., *Backpropagation through the Void* (RELAX), 2018: control variates
#   that depend on $z$, and stay unbiased.
# - Jang et al., *Categorical Reparameterization with Gumbel-Softmax*, 2017; Maddison et al.,
#   *The Concrete Distribution*, 2017: a soft choice that has a path, and a bias.
# - Rezende & Mohamed, *Variational Inference with Normalizing Flows*, 2015: a richer $q$ that still has one.
# - Mohamed et al., *Monte Carlo Gradient Estimation in Machine Learning*, 2020: the map of all this.
