"""Who decides in lab 06: oracles, right answers in other styles, and wrong ones under the sentence that names them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributions as td

from lvmlib.grading.judges import oracle


def log_joint(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """log p_θ(x, z) of each particle, shape (N,)."""
    prior = td.Normal(theta, 1.0).log_prob(z).sum(0)
    return prior + td.Normal(z, 1.0).log_prob(x[:, None]).sum(0)


def grad_theta(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    return (z - theta).sum(0)


def grad_particles(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    return x[:, None] + theta - 2 * z


def theta_by_jacobian(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda t: log_joint(t, z, x), theta)


def theta_by_backward(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    found = []
    for n in range(z.shape[1]):
        leaf = theta.detach().clone().requires_grad_()
        log_joint(leaf, z.detach()[:, n : n + 1], x).sum().backward()
        found.append(leaf.grad)
    return torch.stack(found)


def theta_by_copies(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """A θ for each particle, so that one sum has all their gradients."""
    copies = theta.detach().expand(z.shape[1]).clone().requires_grad_()
    (found,) = torch.autograd.grad(log_joint(copies, z.detach(), x).sum(), copies)
    return found


def theta_by_backward_on_a_clone(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """One leaf for all particles; what adds up in its gradient is set to 0, and each particle keeps a copy."""
    leaf, found = theta.clone().requires_grad_(), []
    for n in range(z.shape[1]):
        if leaf.grad is not None:
            leaf.grad.zero_()
        log_joint(leaf, z[:, n : n + 1], x).backward(torch.ones_like(z[0, :1]))
        found.append(leaf.grad.clone())
    return torch.stack(found)


def theta_by_one_graph(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """The argument itself is the leaf, and one graph holds all particles."""
    theta.requires_grad_()
    return torch.stack([torch.autograd.grad(one, theta, retain_graph=True)[0] for one in log_joint(theta, z, x)])


def theta_in_one_leaf(*, copied: bool, cleared: bool) -> Callable[..., Tensor]:
    """Backward, particle by particle, into one `.grad`, which is copied or cleared or neither."""

    def found(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
        leaf, rows = theta.clone().requires_grad_(), []
        for n in range(z.shape[1]):
            if cleared and leaf.grad is not None:
                leaf.grad.zero_()
            log_joint(leaf, z[:, n : n + 1], x).sum().backward()
            rows.append(leaf.grad.clone() if copied else leaf.grad)
        return torch.stack(rows)

    return found


def theta_by_loops(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    found = torch.zeros_like(z[0])
    for row in z.detach():
        for n in range(z.shape[1]):
            found[n] += row[n] - theta.item()
    return found


def theta_left_in_grad(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """As backward does it, on the argument itself: gradients of all calls add up."""
    theta.requires_grad_()
    start = torch.zeros_like(theta) if theta.grad is None else theta.grad.clone()
    log_joint(theta, z, x).sum().backward()
    return start + (z - theta).sum(0).detach()


oracle(
    "grad-theta",
    reference=grad_theta,
    right={
        "autograd.functional.jacobian": theta_by_jacobian,
        "backward, particle by particle": theta_by_backward,
        "autograd with a copy of θ for each particle": theta_by_copies,
        "torch.func": lambda theta, z, x: torch.func.jacrev(log_joint)(theta, z, x),
        "backward on a clone, whose gradient is cleared and copied": theta_by_backward_on_a_clone,
        "autograd on the argument itself, from one graph": theta_by_one_graph,
        "vmap over particles": lambda theta, z, x: torch.func.vmap(
            torch.func.grad(lambda t, one: log_joint(t, one[:, None], x).sum()), in_dims=(None, 1)
        )(theta, z),
        "row by row, with Python's sum": lambda theta, z, x: sum(row - theta for row in z),
        "loops over dimensions and particles": theta_by_loops,
        "the sum of z less D times θ": lambda theta, z, x: z.double().sum(0).sub(len(x) * theta.double()).to(z),
        "einsum": lambda theta, z, x: torch.einsum("dn->n", z - theta),
        "D times the mean": lambda theta, z, x: len(z) * (z - theta).mean(dim=0),
        "a product with ones, without gradients": torch.no_grad()(
            lambda theta, z, x: torch.ones_like(x) @ (z - theta.expand_as(z))
        ),
        "NumPy": lambda theta, z, x: torch.from_numpy((z.detach().numpy() - theta.item()).sum(axis=0)),
        "forward mode, from torch.func": lambda theta, z, x: torch.func.jacfwd(lambda t: log_joint(t, z, x))(theta),
    },
    wrong={
        "averaged over the particles; one number for each is wanted": lambda theta, z, x: grad_theta(
            theta, z, x
        ).mean(),
        "summed over the particles; one number for each is wanted": lambda theta, z, x: (z - theta).sum(),
        "summed over the particles instead of the dimensions": lambda theta, z, x: (z - theta).sum(1),
        "averaged over the dimensions; log densities of independent dimensions add": lambda theta, z, x: (
            z - theta
        ).mean(0),
        "averaged over all: sum over the dimensions and keep the particles apart": lambda theta, z, x: (
            z - theta
        ).mean(),
        "the gradient was divided by the number of particles; that mean is taken later": lambda theta, z, x: (
            grad_theta(theta, z, x) / z.shape[1]
        ),
        "not summed over the dimensions; θ is one number for all of them": lambda theta, z, x: z - theta,
        "the sign is wrong: log p_θ(x, z) rises when θ moves towards z": lambda theta, z, x: (theta - z).sum(0),
        "this is the likelihood's part, x − z; θ is only in the prior, N(z; θ, 1)": lambda theta, z, x: (
            x[:, None] - z
        ).sum(0),
        "the likelihood's part, x − z, was added; θ does not occur in it": lambda theta, z, x: (
            z - theta + x[:, None] - z
        ).sum(0),
        "this is the gradient of log p_θ(x), with z integrated out; here z is given": lambda theta, z, x: (
            (x - theta).sum() / 2
        ).expand(z.shape[1]),
        "a factor 2 too large: the ½ of the log density is missing": lambda theta, z, x: 2 * grad_theta(theta, z, x),
        "a factor 2 too small: the square's derivative brings a 2": lambda theta, z, x: grad_theta(theta, z, x) / 2,
        "θ was subtracted once; subtract it in each dimension": lambda theta, z, x: z.sum(0) - theta,
        "N times θ was subtracted; it is subtracted once for each dimension": lambda theta, z, x: (
            z.sum(0) - z.shape[1] * theta
        ),
        "θ is missing": lambda theta, z, x: z.sum(0),
        "a prior on θ was added; θ is a parameter here and has none": lambda theta, z, x: (
            grad_theta(theta, z, x) - theta
        ),
        "this is the log density, not its gradient": log_joint,
        "this is −½ Σ (z − θ)², without its derivative taken": lambda theta, z, x: -((z - theta) ** 2).sum(0) / 2,
        "the differences were squared; that is before the derivative": lambda theta, z, x: ((z - theta) ** 2).sum(0),
        "the distance |z − θ| was taken; a gradient has a sign": lambda theta, z, x: (z - theta).abs().sum(0),
        "this is the gradient's sign": lambda theta, z, x: grad_theta(theta, z, x).sign(),
        "the gradient was clipped; a gradient may have any size": lambda theta, z, x: grad_theta(theta, z, x).clamp(
            -100, 100
        ),
        "kept the summed axis, shape (1, N)": lambda theta, z, x: (z - theta).sum(0, keepdim=True),
        "returned a list; its signature promises a tensor": lambda theta, z, x: grad_theta(theta, z, x).tolist(),
        "squeezed: one particle is an axis of one": lambda theta, z, x: grad_theta(theta, z, x).squeeze(),
        "gradients of one particle after the other added up in `.grad`; set it to None before each": (
            theta_in_one_leaf(copied=True, cleared=False)
        ),
        "every particle has the sum of all: `.grad` adds up, and is one tensor however often it is kept": (
            theta_in_one_leaf(copied=False, cleared=False)
        ),
        "every particle has the last one's gradient: `.grad` is one tensor, however often it is kept; copy it": (
            theta_in_one_leaf(copied=False, cleared=True)
        ),
        "every particle has the average over all; each has a gradient of its own": lambda theta, z, x: (
            grad_theta(theta, z, x).mean().expand(z.shape[1])
        ),
        "changed its argument `z` in place": lambda theta, z, x: z.sub_(theta).sum(0),
        "gives another answer when it is called again with the same inputs; did gradients add up in `.grad`?": (
            theta_left_in_grad
        ),
    },
)


def particles_by_autograd(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    leaf = z.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(log_joint(theta.detach(), leaf, x).sum(), leaf)
    return found


def particles_by_backward(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    leaf = z.clone().detach().requires_grad_(True)
    loss = ((leaf - theta.detach()) ** 2).sum() / 2 + ((x.unsqueeze(1) - leaf) ** 2).sum() / 2
    loss.backward()
    return -leaf.grad


def particles_by_loops(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    found = torch.empty_like(z, requires_grad=False)
    for d in range(z.shape[0]):
        for n in range(z.shape[1]):
            found[d, n] = (x[d] - z[d, n] + theta - z[d, n]).item()
    return found


def particles_by_parameter(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    cloud = torch.nn.Parameter(z.clone())
    (-log_joint(theta, cloud, x).sum()).backward()
    return cloud.grad.neg()


def particles_in_one_leaf(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """A backward pass through all particles for each of them, into one `.grad`."""
    leaf, found = z.clone().requires_grad_(), torch.empty_like(z)
    for n in range(z.shape[1]):
        log_joint(theta, leaf, x).sum().backward()
        found[:, n] = leaf.grad[:, n]
    return found


def particles_left_in_grad(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    z.requires_grad_()
    log_joint(theta.detach(), z, x).sum().backward()
    return z.grad.clone()


oracle(
    "grad-particles",
    reference=grad_particles,
    right={
        "autograd": particles_by_autograd,
        "backward, of squares": particles_by_backward,
        "autograd on the argument itself": lambda theta, z, x: torch.autograd.grad(
            log_joint(theta, z.requires_grad_(), x).sum(), z
        )[0],
        "torch.func": lambda theta, z, x: torch.func.grad(lambda cloud: log_joint(theta, cloud, x).sum())(z),
        "vmap over particles": lambda theta, z, x: torch.func.vmap(
            torch.func.grad(lambda one: log_joint(theta, one[:, None], x).sum()), in_dims=1, out_dims=1
        )(z),
        "backward, of a parameter": particles_by_parameter,
        "NumPy": lambda theta, z, x: torch.from_numpy(x.numpy()[:, None] + theta.item() - 2 * z.numpy()).to(z),
        "column by column": lambda theta, z, x: torch.stack([x + theta - 2 * one for one in z.unbind(1)], dim=1),
        "loops over dimensions and particles": particles_by_loops,
        "both pulls": lambda theta, z, x: (x.view(-1, 1) - z) - (z - theta),
        "towards the posterior mean": lambda theta, z, x: 2 * ((x + theta)[:, None] / 2 - z),
        "transposed twice": lambda theta, z, x: (x + theta - 2 * z.T).T,
        "expanded": lambda theta, z, x: torch.add(theta + x.unsqueeze(-1).expand_as(z), z, alpha=-2),
        "einsum, without gradients": torch.no_grad()(
            lambda theta, z, x: torch.einsum("d,n->dn", x + theta, torch.ones_like(z[0])) - z - z
        ),
    },
    wrong={
        "the prior's pull, θ − z, is missing": lambda theta, z, x: x[:, None] - z,
        "the likelihood's pull, x − z, is missing": lambda theta, z, x: theta - z,
        "the sign is wrong: particles are pulled towards x and θ": lambda theta, z, x: -grad_particles(theta, z, x),
        "the likelihood's pull has the wrong sign; it is x − z": lambda theta, z, x: (theta - z) + (z - x[:, None]),
        "the prior's pull has the wrong sign; it is θ − z": lambda theta, z, x: (x[:, None] - z) + (z - theta),
        "z was subtracted once; both terms pull, so it is −2z": lambda theta, z, x: x[:, None] + theta - z,
        "a factor 2 too small: this is posterior mean less z, and the posterior's variance is ½": lambda theta, z, x: (
            grad_particles(theta, z, x) / 2
        ),
        "a factor 2 too large: the ½ of the log densities is missing": lambda theta, z, x: (
            2 * grad_particles(theta, z, x)
        ),
        "only the prior's pull was halved; the ½ of the square is gone in its derivative": lambda theta, z, x: (
            x[:, None] - z + (theta - z) / 2
        ),
        "only the likelihood's pull was halved; the ½ of the square is gone in its derivative": lambda theta, z, x: (
            (x[:, None] - z) / 2 + theta - z
        ),
        "divided by the number of particles; each moves by its own gradient": lambda theta, z, x: (
            grad_particles(theta, z, x) / z.shape[1]
        ),
        "divided by the number of dimensions; each entry has its own gradient": lambda theta, z, x: (
            grad_particles(theta, z, x) / len(x)
        ),
        "averaged over the particles; each has its own gradient": lambda theta, z, x: (
            grad_particles(theta, z, x).mean(1, keepdim=True).repeat(1, z.shape[1])
        ),
        "averaged over the dimensions; each has its own gradient": lambda theta, z, x: (
            grad_particles(theta, z, x).mean(0, keepdim=True).repeat(len(x), 1)
        ),
        "summed over the dimensions; one number for each entry of z is wanted": lambda theta, z, x: grad_particles(
            theta, z, x
        ).sum(0),
        "summed over the particles; one number for each entry of z is wanted": lambda theta, z, x: grad_particles(
            theta, z, x
        ).sum(1),
        "the mean of x was taken for x; dimension d is pulled towards x_d": lambda theta, z, x: (
            x.mean() + theta - 2 * z
        ),
        "x was summed; dimension d is pulled towards x_d": lambda theta, z, x: x.sum() + theta - 2 * z,
        "the result is transposed; it has z's shape (D, N)": lambda theta, z, x: grad_particles(theta, z, x).T,
        "raised RuntimeError": lambda theta, z, x: x + theta - 2 * z,
        "θ is missing": lambda theta, z, x: x[:, None] - 2 * z,
        "x is missing": lambda theta, z, x: theta - 2 * z,
        "θ was subtracted; the prior pulls towards it": lambda theta, z, x: x[:, None] - theta - 2 * z,
        "this is the posterior mean, where the gradient is 0": lambda theta, z, x: ((x + theta) / 2)[:, None].repeat(
            1, z.shape[1]
        ),
        "these are log densities, not their gradients": lambda theta, z, x: (
            td.Normal(theta, 1.0).log_prob(z) + td.Normal(z, 1.0).log_prob(x[:, None])
        ),
        "a prior of variance ½ was taken; it is N(θ, 1)": lambda theta, z, x: x[:, None] - z + 2 * (theta - z),
        "a likelihood of variance ½ was taken; it is N(z, 1)": lambda theta, z, x: 2 * (x[:, None] - z) + theta - z,
        "the gradient was clipped; a gradient may have any size": lambda theta, z, x: grad_particles(theta, z, x).clamp(
            -100, 100
        ),
        "normalised by its length; the length says how far to move": lambda theta, z, x: torch.nn.functional.normalize(
            grad_particles(theta, z, x), dim=0
        ),
        "gradients of one backward pass after the other added up in `.grad`; one pass has all of them": (
            particles_in_one_leaf
        ),
        "changed its argument `z` in place": lambda theta, z, x: z.mul_(-2) + theta + x[:, None],
        "gives another answer when it is called again with the same inputs; did gradients add up in `.grad`?": (
            particles_left_in_grad
        ),
        "returned a list; its signature promises a tensor": lambda theta, z, x: grad_particles(theta, z, x).tolist(),
    },
)

Moved = tuple[Tensor, Tensor]


def pgd_step(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    moved = theta + step_size * grad_theta(theta, z, x).mean()
    return moved, z + step_size * grad_particles(theta, z, x) + math.sqrt(2 * step_size) * noise


def step_in_double(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    moved, cloud = pgd_step(theta.double(), z.double(), x.double(), step_size, noise.double())
    return moved.to(theta), cloud.to(z)


def step_by_autograd(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    leaves = theta.detach().clone().requires_grad_(), z.detach().clone().requires_grad_()
    in_theta, in_z = torch.autograd.grad(log_joint(*leaves, x).sum(), leaves)
    with torch.no_grad():
        moved = theta + step_size / z.shape[1] * in_theta
        return moved, z + step_size * in_z + (2 * step_size) ** 0.5 * noise


def step_by_loops(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    dims, particles = z.shape
    total, cloud = 0.0, torch.zeros_like(z)
    for d in range(dims):
        for n in range(particles):
            total += (z[d, n] - theta).item()
            drift = x[d] + theta.detach() - 2 * z[d, n]
            cloud[d, n] = z[d, n] + step_size * drift + math.sqrt(2 * step_size) * noise[d, n]
    return theta + step_size * total / particles, cloud


def step_in_place_on_clones(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    old, cloud = theta.detach().clone(), z.clone()
    moved = old.clone()
    moved += step_size * (cloud.mean(1) - old).sum()
    cloud += step_size * (x[:, None] + old - 2 * cloud)
    return moved, cloud.add_(noise, alpha=math.sqrt(2 * step_size))


def particles_first(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> list[Tensor]:
    """The cloud moves first, and the old one is still at hand for θ; a list is as good as a tuple."""
    cloud = z + step_size * grad_particles(theta, z, x) + torch.tensor(2.0 * step_size, dtype=z.dtype).sqrt() * noise
    return [theta + step_size * grad_theta(theta, z, x).mean(), cloud]


def stepping(
    *,
    theta: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda theta, z, x: grad_theta(theta, z, x).mean(),
    drift: Callable[[Tensor, Tensor, Tensor], Tensor] = grad_particles,
    scale: Callable[[float], float] = lambda h: math.sqrt(2 * h),
    theta_step: Callable[[float], float] = lambda h: h,
    step: Callable[[float], float] = lambda h: h,
    shared: Callable[[Tensor], Tensor] = lambda noise: noise,
) -> Callable[..., Moved]:
    """A step whose gradients, noise or sizes are others."""

    def moves(old: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
        moved = old + theta_step(step_size) * theta(old, z, x)
        return moved, z + step(step_size) * drift(old, z, x) + scale(step_size) * shared(noise)

    return moves


def theta_first(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    moved, _ = pgd_step(theta, z, x, step_size, noise)
    return moved, pgd_step(moved, z, x, step_size, noise)[1]


def cloud_first(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    _, cloud = pgd_step(theta, z, x, step_size, noise)
    return pgd_step(theta, cloud, x, step_size, noise)[0], cloud


def step_changes_theta(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    moved, cloud = pgd_step(theta, z, x, step_size, noise)
    with torch.no_grad():
        return theta.copy_(moved), cloud


def step_changes_particles(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    moved, cloud = pgd_step(theta, z, x, step_size, noise)
    return moved, z.copy_(cloud)


def step_by_optimiser(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    moved, cloud = torch.nn.Parameter(theta.clone()), torch.nn.Parameter(z.clone())
    optimiser = torch.optim.SGD([moved, cloud], lr=step_size, maximize=True)
    log_joint(moved, cloud, x).sum().backward()
    moved.grad /= z.shape[1]
    optimiser.step()
    return moved.data, cloud.data + math.sqrt(2 * step_size) * noise


def noise_first(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    pushed = z + math.sqrt(2 * step_size) * noise
    moved, _ = pgd_step(theta, z, x, step_size, noise)
    return moved, pushed + step_size * grad_particles(theta, pushed, x)


def noise_before_both(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
    return pgd_step(theta, z + math.sqrt(2 * step_size) * noise, x, step_size, torch.zeros_like(noise))


def averaged(cloud: Tensor) -> Tensor:
    return cloud.mean(1, keepdim=True).expand_as(cloud)


oracle(
    "pgd-step",
    reference=step_in_double,
    exact=False,
    right={
        "three lines": pgd_step,
        "autograd": step_by_autograd,
        "loops over dimensions and particles": step_by_loops,
        "in place, on clones": step_in_place_on_clones,
        "the particles first, from the old θ": particles_first,
        "an optimiser of torch's": step_by_optimiser,
        "every particle in a step of its own": lambda theta, z, x, step_size, noise: (
            theta + step_size * (z.sum() / z.shape[1] - len(x) * theta),
            torch.stack(
                [
                    pgd_step(theta, z[:, n : n + 1], x, step_size, noise[:, n : n + 1])[1][:, 0]
                    for n in range(z.shape[1])
                ],
                dim=1,
            ),
        ),
        "a mix of old places and posterior mean": lambda theta, z, x, step_size, noise: (
            torch.lerp(theta, z.mean(), len(x) * step_size),
            (1 - 2 * step_size) * z + step_size * (x + theta)[:, None] + (2 * step_size) ** 0.5 * noise,
        ),
        "both gradients of one mean, without gradients": torch.no_grad()(
            lambda theta, z, x, step_size, noise: (
                theta + step_size * (z - theta).mean(1).sum(),
                z + step_size * (x.view(-1, 1) - z + theta - z) + noise * math.sqrt(step_size) * math.sqrt(2),
            )
        ),
    },
    wrong={
        "θ's gradient was summed over the particles; average it": stepping(
            theta=lambda theta, z, x: grad_theta(theta, z, x).sum()
        ),
        "θ's gradient was averaged over the dimensions too; it sums over them": stepping(
            theta=lambda theta, z, x: (z - theta).mean()
        ),
        "θ's gradient was divided by the number of particles twice": stepping(
            theta=lambda theta, z, x: grad_theta(theta, z, x).mean() / z.shape[1]
        ),
        "θ's gradient was multiplied by the number of dimensions; its sum over them is enough": stepping(
            theta=lambda theta, z, x: grad_theta(theta, z, x).mean() * len(x)
        ),
        "θ follows one particle; it follows their mean": stepping(theta=lambda theta, z, x: grad_theta(theta, z, x)[0]),
        "the new θ moved the particles; both steps start from the old values": theta_first,
        "the new particles moved θ; both steps start from the old values": cloud_first,
        "the noise was scaled by √h; the scale is √(2h)": stepping(scale=math.sqrt),
        "the noise was scaled by 2h; the scale is √(2h)": stepping(scale=lambda h: 2 * h),
        "the noise was scaled by h; the scale is √(2h)": stepping(scale=lambda h: h),
        "the noise was scaled by √2·h, within the step; the scale is √(2h)": stepping(scale=lambda h: math.sqrt(2) * h),
        "the noise was scaled by h·√(2h), within the step; the scale is √(2h)": stepping(
            scale=lambda h: h * math.sqrt(2 * h)
        ),
        "the noise was scaled by 2√h; the scale is √(2h)": stepping(scale=lambda h: 2 * math.sqrt(h)),
        "the noise was scaled by √2; the scale is √(2h)": stepping(scale=lambda h: math.sqrt(2)),
        "the noise was scaled by √(h/2); the scale is √(2h)": stepping(scale=lambda h: math.sqrt(h / 2)),
        "the noise was not scaled; the scale is √(2h)": stepping(scale=lambda h: 1.0),
        "the noise is missing": stepping(scale=lambda h: 0.0),
        "the noise was added before the particles' gradient was taken; take it where they are": noise_first,
        "the noise was added before both gradients were taken; take them where the particles are": noise_before_both,
        "all dimensions are pulled towards the mean of x; dimension d is pulled towards x_d": stepping(
            drift=lambda theta, z, x: x.mean() + theta - 2 * z
        ),
        "the noise was subtracted; add it": stepping(scale=lambda h: -math.sqrt(2 * h)),
        "the noise was averaged over the particles; each has its own": stepping(shared=averaged),
        "all particles got the first one's noise; each has its own": stepping(
            shared=lambda noise: noise[:, :1].expand_as(noise)
        ),
        "all dimensions got the first one's noise; each has its own": stepping(
            shared=lambda noise: noise[:1].expand_as(noise)
        ),
        "the noise was divided by the root of N": lambda theta, z, x, step_size, noise: pgd_step(
            theta, z, x, step_size, noise / math.sqrt(z.shape[1])
        ),
        "the noise moved θ as well; only particles get noise": lambda theta, z, x, step_size, noise: (
            pgd_step(theta, z, x, step_size, noise)[0] + math.sqrt(2 * step_size) * noise.mean(),
            pgd_step(theta, z, x, step_size, noise)[1],
        ),
        "the prior's pull on the particles, θ − z, is missing": stepping(drift=lambda theta, z, x: x[:, None] - z),
        "the likelihood's pull on the particles, x − z, is missing": stepping(drift=lambda theta, z, x: theta - z),
        "particles step by h/2 with noise √h, as some write Langevin; here it is h and √(2h)": stepping(
            step=lambda h: h / 2, scale=math.sqrt
        ),
        "the particles' gradient was halved; they step by h": stepping(step=lambda h: h / 2),
        "the particles' gradient was doubled; they step by h": stepping(step=lambda h: 2 * h),
        "θ's gradient was halved; it steps by h": stepping(theta_step=lambda h: h / 2),
        "θ's gradient was doubled; it steps by h": stepping(theta_step=lambda h: 2 * h),
        "θ steps by √(2h); it steps by h": stepping(theta_step=lambda h: math.sqrt(2 * h)),
        "θ steps by h²: the step size was used twice": stepping(theta_step=lambda h: h * h),
        "the particles step by h²: the step size was used twice": stepping(step=lambda h: h * h),
        "the step size is missing before the particles' gradient": stepping(step=lambda h: 1.0),
        "the step size is missing before θ's gradient": stepping(theta_step=lambda h: 1.0),
        "the particles go downhill; add their gradient": stepping(step=lambda h: -h),
        "θ goes downhill; add its gradient": stepping(theta_step=lambda h: -h),
        "both go downhill; log p_θ(x, z) is to rise": stepping(theta_step=lambda h: -h, step=lambda h: -h),
        "the particles' gradient was divided by N; each takes a whole step": stepping(
            drift=lambda theta, z, x: grad_particles(theta, z, x) / z.shape[1]
        ),
        "the particles' gradient was divided by D; each entry takes a whole step": stepping(
            drift=lambda theta, z, x: grad_particles(theta, z, x) / len(x)
        ),
        "the particles' gradients were averaged; each particle moves by its own": stepping(
            drift=lambda theta, z, x: averaged(grad_particles(theta, z, x))
        ),
        "θ jumped to the cloud's mean, as in EM; it steps by h along its gradient": lambda theta, z, x, h, noise: (
            z.mean(),
            pgd_step(theta, z, x, h, noise)[1],
        ),
        "θ stayed where it was": stepping(theta_step=lambda h: 0.0),
        "the particles did not follow their gradient": stepping(step=lambda h: 0.0),
        "the particles stayed where they were": stepping(step=lambda h: 0.0, scale=lambda h: 0.0),
        "z holds the steps; add them to the particles": lambda theta, z, x, h, noise: (
            pgd_step(theta, z, x, h, noise)[0],
            pgd_step(theta, z, x, h, noise)[1] - z,
        ),
        "the particles start from 0 in every step; they start from where they are": lambda theta, z, x, h, noise: (
            pgd_step(theta, z, x, h, noise)[0],
            pgd_step(theta, torch.zeros_like(z), x, h, noise)[1],
        ),
        "raised RuntimeError": stepping(drift=lambda theta, z, x: x + theta - 2 * z),
        "theta has one value for each particle; average them into one number": lambda theta, z, x, h, noise: (
            theta + h * grad_theta(theta, z, x),
            pgd_step(theta, z, x, h, noise)[1],
        ),
        "theta has shape (1,)": lambda theta, z, x, h, noise: (
            pgd_step(theta, z, x, h, noise)[0][None],
            pgd_step(theta, z, x, h, noise)[1],
        ),
        "returned (z, θ); the signature promises (θ, z)": lambda *inputs: pgd_step(*inputs)[::-1],
        "returned 1 values; its signature promises (theta, z)": lambda *inputs: pgd_step(*inputs)[:1],
        "returned a Tensor": lambda *inputs: pgd_step(*inputs)[1],
        "returned a float as theta; a tensor is wanted": lambda *inputs: (
            pgd_step(*inputs)[0].item(),
            pgd_step(*inputs)[1],
        ),
        "changed its argument `theta` in place": step_changes_theta,
        "changed its argument `z` in place": step_changes_particles,
        "draws random numbers of its own; all it needs is in its arguments": lambda theta, z, x, h, noise: pgd_step(
            theta, z, x, h, torch.randn_like(z)
        ),
    },
)


def max_stable_step(dims: int) -> float:
    return 4 / (dims + 2 + math.sqrt(dims**2 + 4))


def step_matrix(dims: int) -> np.ndarray:
    """Of the pull that moves (θ, mean of the cloud): without noise a step multiplies by I − h times it."""
    return np.array([[dims, -dims], [-1.0, 2.0]])


def step_by_bisection(dims: int) -> float:
    low, high = 0.0, 2.0
    while high - low > 1e-7 * high:
        middle = (low + high) / 2
        grows = np.abs(np.linalg.eigvals(np.eye(2) - middle * step_matrix(dims))).max() > 1
        low, high = (low, middle) if grows else (middle, high)
    return low


def step_by_power_iteration(dims: int) -> float:
    pull = torch.from_numpy(step_matrix(dims))
    direction = torch.tensor([1.0, -0.5], dtype=torch.float64)
    for _ in range(400):
        direction = pull @ direction
        direction = direction / direction.norm()
    return 2 / (direction @ (pull @ direction)).item()


def root_of(dims: int, *, sign: int = 1, four: float = 4.0) -> float:
    """An eigenvalue of the step's matrix, for which (λ − D)(λ − 2) = D."""
    return (dims + 2 + sign * math.sqrt(abs(dims**2 + four))) / 2


oracle(
    "stable-step",
    reference=max_stable_step,
    right={
        "two over the largest eigenvalue": lambda dims: 2 / np.linalg.eigvals(step_matrix(dims)).real.max(),
        "torch.linalg.eigvals": lambda dims: (
            2 / torch.linalg.eigvals(torch.from_numpy(step_matrix(dims))).abs().max().item()
        ),
        "eigenvalues in float32": lambda dims: (
            2.0 / float(torch.linalg.eigvals(torch.tensor([[dims, -dims], [-1.0, 2.0]])).real.max())
        ),
        "bisection of the spectral radius": step_by_bisection,
        "power iteration": step_by_power_iteration,
        "the quadratic formula": lambda dims: 2 / ((dims + 2 + ((dims + 2) ** 2 - 4 * dims) ** 0.5) / 2),
        "the other way round the root": lambda dims: (dims + 2 - math.sqrt(dims**2 + 4)) / dims,
        "np.roots": lambda dims: np.float64(2 / np.roots([1, -(dims + 2), dims]).max()),
        "hypot": lambda dims: 4 / (dims + 2 + math.hypot(dims, 2)),
        "the eigenvalues of a symmetric matrix": lambda dims: (
            2 / np.linalg.eigvalsh([[dims, -math.sqrt(dims)], [-math.sqrt(dims), 2]]).max()
        ),
    },
    wrong={
        "2/(D + 2) is the step that settles soonest; a larger one is still stable": lambda dims: 2 / (dims + 2),
        "2/D is the limit for θ with the particles held fixed; both move, and pull at each other": lambda dims: (
            2 / dims
        ),
        "1 is the limit for the particles with θ held fixed; θ moves as well": lambda dims: 1.0,
        "4/D is the limit of gradient ascent on log p_θ(x), without particles": lambda dims: 4 / dims,
        "this belongs to the smaller eigenvalue; the larger one blows up first": lambda dims: (
            2 / root_of(dims, sign=-1)
        ),
        "this is the largest eigenvalue λ; the limit is 2/λ": root_of,
        "this is the smaller eigenvalue; the limit is 2 over the larger one": lambda dims: root_of(dims, sign=-1),
        "1/λ is where it begins to swing; swings die out up to 2/λ": lambda dims: 1 / root_of(dims),
        "the root is that of D² − 4; the discriminant is (D + 2)² − 4D": lambda dims: 2 / root_of(dims, four=-4.0),
        "the discriminant is (D + 2)² + 4D here; it is (D + 2)² − 4D": lambda dims: (
            4 / (dims + 2 + math.sqrt((dims + 2) ** 2 + 4 * dims))
        ),
        "the number of dimensions is forgotten: θ's gradient sums over them": lambda dims: 2 / root_of(1),
        "D went in twice": lambda dims: 2 / root_of(dims**2),
        "the particles' gradient was halved; it is x + θ − 2z": lambda dims: 4 / (dims + 1 + math.sqrt(dims**2 + 1)),
        "twice the limit": lambda dims: 2 * max_stable_step(dims),
        "2/(D + 1) is only near the limit: the root is √(D² + 4), not D": lambda dims: 2 / (dims + 1),
        "1/D takes θ to the cloud's mean in one step; the limit for both is another": lambda dims: 1 / dims,
        "a margin was taken off; the limit itself is wanted": lambda dims: 0.99 * max_stable_step(dims),
        "rounded to two digits": lambda dims: round(max_stable_step(dims), 2),
        "rounded down by //": lambda dims: 4 // (dims + 2 + math.isqrt(dims**2 + 4)),
        "found on a grid of 0.001; bisect": lambda dims: math.floor(max_stable_step(dims) * 1000) / 1000,
        "returned a Tensor": lambda dims: torch.tensor(max_stable_step(dims)),
        "returned a complex": lambda dims: complex(max_stable_step(dims)),
    },
)


Start = Callable[[Tensor, int, torch.Generator], Moved]
Noise = Callable[[Tensor, int, torch.Generator], Tensor]


def prior_start(x: Tensor, particles: int, generator: torch.Generator) -> Moved:
    """θ = 0, and particles from the prior N(θ, 1)."""
    return x.new_zeros(()), torch.randn(len(x), particles, generator=generator, dtype=x.dtype)


def settled_start(x: Tensor, particles: int, generator: torch.Generator) -> Moved:
    """Where a run ends up: the likelihood's maximum and its posterior, so that no start betrays a mistake."""
    theta = x.mean()
    noise = torch.randn(len(x), particles, generator=generator, dtype=x.dtype)
    return theta, (x + theta)[:, None] / 2 + math.sqrt(0.5) * noise


def fresh_noise(x: Tensor, particles: int, generator: torch.Generator) -> Tensor:
    return torch.randn(len(x), particles, generator=generator, dtype=x.dtype)


def running(
    step: Callable[..., Moved] = pgd_step, *, start: Start = prior_start, noise: Noise = fresh_noise, unseen: int = 0
) -> Callable[..., Moved]:
    """A run that takes this step, from this start and with this noise; the last `unseen` steps are not taken."""

    def run(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
        theta, z = start(x, particles, generator)
        path = []
        for _ in range(steps - unseen):
            theta, z = step(theta, z, x, step_size, noise(x, particles, generator))
            path.append(theta)
        return torch.stack(path) if path else x.new_zeros(0), z

    return run


def run_by_noise_in_advance(
    x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator
) -> Moved:
    noise = torch.randn(steps, len(x), particles, generator=generator).to(x)
    theta, z = torch.tensor(0.0), torch.zeros(len(x), particles)
    path = torch.zeros(steps)
    for t in range(steps):
        theta, z = pgd_step(theta, z, x, step_size, noise[t])
        path[t] = theta
    return path, z


def run_by_loops(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    """Plain numbers, one at a time."""
    places = x.tolist()
    theta = 0.0
    z = [[torch.randn((), generator=generator).item() for _ in range(particles)] for _ in places]
    path = []
    for _ in range(steps):
        drift = step_size * sum(value - theta for row in z for value in row) / particles
        for place, row in zip(places, z, strict=True):
            for n, value in enumerate(row):
                noise = math.sqrt(2 * step_size) * torch.randn((), generator=generator).item()
                row[n] = value + step_size * (place + theta - 2 * value) + noise
        theta += drift
        path.append(theta)
    return torch.tensor(path), torch.tensor(z)


def run_in_place(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    theta, z = x.new_zeros(()), fresh_noise(x, particles, generator)
    path = x.new_empty(steps)
    for t in range(steps):
        drift = grad_theta(theta, z, x).mean()
        z += step_size * grad_particles(theta, z, x)
        z += z.new_empty(z.shape).normal_(generator=generator) * math.sqrt(2 * step_size)
        theta += step_size * drift
        path[t] = theta
    return path, z


def run_by_numpy(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    seed = int(torch.randint(2**31, (), generator=generator))
    random = np.random.default_rng(seed)
    places = x.numpy()[:, None]
    theta, z, path = 0.0, random.standard_normal((len(x), particles)), []
    for _ in range(steps):
        noise = np.sqrt(2 * step_size) * random.standard_normal(z.shape)
        theta, z = theta + step_size * (z - theta).sum(0).mean(), z + step_size * (places + theta - 2 * z) + noise
        path.append(theta)
    return torch.tensor(np.array(path), dtype=x.dtype), torch.from_numpy(z).to(x)


def run_with_learned_theta(
    x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator
) -> Moved:
    """A parameter θ that is changed in place, and one backward pass for both."""
    theta = torch.nn.Parameter(torch.zeros((), dtype=x.dtype))
    z = fresh_noise(x, particles, generator).requires_grad_()
    path = []
    for _ in range(steps):
        theta.grad = z.grad = None
        log_p = -((z - theta) ** 2).sum(0) / 2 - ((x[:, None] - z) ** 2).sum(0) / 2
        log_p.mean().backward()
        with torch.no_grad():
            theta += step_size * theta.grad
            z += step_size * particles * z.grad
            z += math.sqrt(2 * step_size) * fresh_noise(x, particles, generator)
        path.append(theta.item())
    return torch.tensor(path, dtype=x.dtype), z


def run_with_autograd(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    """θ is a number, and the noise comes from uniform numbers, by Box and Muller."""
    theta, z = 0.0, fresh_noise(x, particles, generator)
    path = []
    for _ in range(steps):
        leaf, cloud = x.new_tensor(theta).requires_grad_(), z.clone().requires_grad_()
        in_theta, in_z = torch.autograd.grad(log_joint(leaf, cloud, x).sum(), (leaf, cloud))
        radius, angle = torch.rand(2, *z.shape, generator=generator, dtype=torch.float64)
        noise = (-2 * (1 - radius).log()).sqrt() * torch.cos(2 * math.pi * angle)
        z = z + step_size * in_z + math.sqrt(2 * step_size) * noise.to(z)
        theta += step_size * in_theta.item() / particles
        path.append(theta)
    return torch.tensor(path, dtype=x.dtype), z


def own_thetas(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    """The average over the particles is forgotten, so that θ has shape (N,) from the first step on."""
    theta, z = prior_start(x, particles, generator)
    path = []
    for _ in range(steps):
        noise = math.sqrt(2 * step_size) * fresh_noise(x, particles, generator)
        drift = grad_theta(theta, z, x)
        z = z + step_size * grad_particles(theta, z, x) + noise
        theta = theta + step_size * drift
        path.append(theta.mean())
    return torch.stack(path), z


def all_thetas(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    _, z = running()(x, step_size, steps, particles, generator)
    return x.new_zeros(steps, particles), z


def numbered_noise(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    """Each step's noise has a seed of its own: the step's number."""
    theta, z = prior_start(x, particles, generator)
    path = []
    for t in range(steps):
        noise = fresh_noise(x, particles, torch.Generator().manual_seed(t))
        theta, z = pgd_step(theta, z, x, step_size, noise)
        path.append(theta)
    return torch.stack(path), z


def far_start(theta: float, cloud: float) -> Start:
    return lambda x, particles, generator: (x.new_tensor(theta), x.new_full((len(x), particles), cloud))


def random_start(x: Tensor, particles: int, generator: torch.Generator) -> Moved:
    """θ is drawn too, and the cloud is wide."""
    theta = 5 * torch.randn((), generator=generator, dtype=x.dtype)
    return theta, theta + 3 * torch.randn(particles, len(x), generator=generator, dtype=x.dtype).T


def start_first(start: Start) -> Callable[..., Moved]:
    """A run whose path begins with the start and ends before the last step."""

    def run(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
        theta, z = start(x, particles, generator)
        path = []
        for _ in range(steps):
            path.append(theta)
            theta, z = pgd_step(theta, z, x, step_size, fresh_noise(x, particles, generator))
        return torch.stack(path), z

    return run


def start_included(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    path, z = running(unseen=-1)(x, step_size, steps, particles, generator)
    return path, z


def cloud_kept_back(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    theta, z = prior_start(x, particles, generator)
    path, before = [], z
    for _ in range(steps):
        before = z
        theta, z = pgd_step(theta, z, x, step_size, fresh_noise(x, particles, generator))
        path.append(theta)
    return torch.stack(path), before


def last_step_quiet(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    theta, z = prior_start(x, particles, generator)
    path = []
    for t in range(steps):
        noise = fresh_noise(x, particles, generator) * (t < steps - 1)
        theta, z = pgd_step(theta, z, x, step_size, noise)
        path.append(theta)
    return torch.stack(path), z


def noise_drawn_once(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    theta, z = prior_start(x, particles, generator)
    noise, path = fresh_noise(x, particles, generator), []
    for _ in range(steps):
        theta, z = pgd_step(theta, z, x, step_size, noise)
        path.append(theta)
    return torch.stack(path), z


def theta_without_copies(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    theta, z = prior_start(x, particles, generator)
    path = []
    for _ in range(steps):
        moved, z = pgd_step(theta, z, x, step_size, fresh_noise(x, particles, generator))
        theta.copy_(moved)
        path.append(theta)
    return torch.stack(path), z


def anew(draw: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., Moved]:
    """A step that forgets its particles: they are drawn from θ, x and noise."""

    def step(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
        cloud = draw(theta, x, noise)
        return theta + step_size * grad_theta(theta, cloud, x).mean(), cloud

    return step


def shaken(share: Callable[[Tensor], float]) -> Callable[..., Moved]:
    """A run in which θ gets noise of its own."""

    def run(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
        def step(theta: Tensor, z: Tensor, x: Tensor, step_size: float, noise: Tensor) -> Moved:
            moved, cloud = pgd_step(theta, z, x, step_size, noise)
            push = torch.randn((), generator=generator, dtype=x.dtype)
            return moved + math.sqrt(2 * step_size * share(z)) * push, cloud

        return running(step)(x, step_size, steps, particles, generator)

    return run


def with_path(change: Callable[[Tensor], Tensor], run: Callable[..., Moved] | None = None) -> Callable[..., Moved]:
    """A right run whose path is then changed."""

    def changed(*inputs: Any) -> Moved:
        path, z = (run or running())(*inputs)
        return change(path), z

    return changed


def with_cloud(change: Callable[[Tensor], Tensor]) -> Callable[..., Moved]:
    def changed(*inputs: Any) -> Moved:
        path, z = running()(*inputs)
        return path, change(z)

    return changed


def reseeded(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    return running()(x, step_size, steps, particles, generator.manual_seed(0))


def seeded_again(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    """The seed that the generator once had, for a generator of its own."""
    own = torch.Generator().manual_seed(generator.initial_seed())
    return running()(x, step_size, steps, particles, own)


def global_start(x: Tensor, particles: int, generator: torch.Generator) -> Moved:
    return x.new_zeros(()), torch.randn(len(x), particles, dtype=x.dtype)


def centred(x: Tensor, particles: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers of mean 0 and variance 1."""
    numbers = torch.rand(len(x), particles, generator=generator, dtype=x.dtype)
    return math.sqrt(12) * (numbers - 0.5)


def mirrored(x: Tensor, particles: int, generator: torch.Generator) -> Tensor:
    """Noise that is too large, but for its sum over all entries."""
    noise = fresh_noise(x, particles, generator)
    level = noise.mean()
    return level + math.sqrt(2) * (noise - level)


def kept_company(x: Tensor, particles: int, generator: torch.Generator) -> Tensor:
    """Noise that two dimensions share in part, while the sum over all is as large as it should be."""
    noise = fresh_noise(x, particles, generator)
    if len(x) != 3:
        return noise
    root = torch.linalg.cholesky(torch.tensor([[1.0, 0.6, -0.3], [0.6, 1.0, -0.3], [-0.3, -0.3, 1.0]], dtype=x.dtype))
    return root @ noise


def dies_away(x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator) -> Moved:
    """The noise is switched off in the last half of a long run."""
    theta, z = prior_start(x, particles, generator)
    path = []
    for t in range(steps):
        noise = fresh_noise(x, particles, generator) * (t < max(10, steps // 2))
        theta, z = pgd_step(theta, z, x, step_size, noise)
        path.append(theta)
    return torch.stack(path), z


oracle(
    "pgd-run",
    reference=running(),
    exact=False,
    right={
        "all noise drawn in advance, particles start at 0": run_by_noise_in_advance,
        "loops over dimensions and particles": run_by_loops,
        "in place": run_in_place,
        "NumPy, seeded from the generator": run_by_numpy,
        "a parameter and autograd": run_with_learned_theta,
        "from the maximum of the likelihood and its posterior": running(start=settled_start),
        "from θ = 100 and a cloud at −50": running(start=far_start(100.0, -50.0)),
        "from a drawn θ and a wide cloud": running(start=random_start),
        "particles at the observation": running(
            start=lambda x, particles, generator: (x.mean(), x[:, None].repeat(1, particles))
        ),
        "the noise subtracted, which is as good": running(
            lambda theta, z, x, h, noise: pgd_step(theta, z, x, h, -noise)
        ),
        "a step before the run, as a start": running(
            start=lambda x, particles, generator: pgd_step(
                *prior_start(x, particles, generator), x, 0.1, fresh_noise(x, particles, generator)
            )
        ),
        "float64 throughout": lambda x, *rest: running()(x.double(), *rest),
        "float32 throughout": lambda x, *rest: running()(x.float(), *rest),
        "autograd, and noise by Box and Muller": run_with_autograd,
        "noise of transposed shape": running(
            noise=lambda x, particles, generator: torch.randn(particles, len(x), generator=generator).T.to(x)
        ),
    },
    wrong={
        "the noise is missing": running(stepping(scale=lambda h: 0.0)),
        "the noise of a step is shared by all particles; each has its own": running(
            noise=lambda x, particles, generator: fresh_noise(x, 1, generator).expand(-1, particles)
        ),
        "the noise of a step is shared by all dimensions; each has its own": running(
            noise=lambda x, particles, generator: fresh_noise(x[:1], particles, generator).expand(len(x), -1)
        ),
        "the noise of a step is one number for the whole cloud; each entry of z has its own": running(
            noise=lambda x, particles, generator: fresh_noise(x[:1], 1, generator).expand(len(x), particles)
        ),
        "the noise is scaled by √h; the scale is √(2h)": running(stepping(scale=math.sqrt), start=settled_start),
        "the noise is scaled by 2h; the scale is √(2h)": running(stepping(scale=lambda h: 2 * h)),
        "the noise is scaled by h; the scale is √(2h)": running(stepping(scale=lambda h: h)),
        "the noise is scaled by √2·h; the scale is √(2h)": running(stepping(scale=lambda h: math.sqrt(2) * h)),
        "the noise is scaled by h·√(2h); the scale is √(2h)": running(stepping(scale=lambda h: h * math.sqrt(2 * h))),
        "the noise is scaled by 2√h; the scale is √(2h)": running(stepping(scale=lambda h: 2 * math.sqrt(h))),
        "the noise is scaled by √2; the scale is √(2h)": running(stepping(scale=lambda h: math.sqrt(2))),
        "the noise is not scaled; the scale is √(2h)": running(stepping(scale=lambda h: 1.0)),
        "the noise is the same in every step; draw it anew": noise_drawn_once,
        "the noise is the same in every run, whatever the generator; draw it from `generator`": numbered_noise,
        "noise is added before the gradient is taken; take it where the particles are": running(noise_first),
        "the prior's pull on the particles, θ − z, is missing": running(
            stepping(drift=lambda theta, z, x: x[:, None] - z), start=settled_start
        ),
        "the likelihood's pull on the particles, x − z, is missing": running(
            stepping(drift=lambda theta, z, x: theta - z), start=settled_start
        ),
        "the particles do not follow their gradient": running(stepping(step=lambda h: 0.0)),
        "the particles go downhill; add their gradient": running(stepping(step=lambda h: -h)),
        "θ goes downhill; add its gradient": running(stepping(theta_step=lambda h: -h)),
        "particles step by h/2 with noise √h, as some write Langevin; here it is h and √(2h)": running(
            stepping(step=lambda h: h / 2, scale=math.sqrt), start=settled_start
        ),
        "the particles' gradient is halved; it is x + θ − 2z": running(stepping(step=lambda h: h / 2)),
        "the particles' gradient is doubled; it is x + θ − 2z": running(stepping(step=lambda h: 2 * h)),
        "z is subtracted once in the particles' gradient; it is x + θ − 2z": running(
            stepping(drift=lambda theta, z, x: x[:, None] + theta - z)
        ),
        "the particles' gradient is divided by N; each particle takes a whole step": running(
            stepping(drift=lambda theta, z, x: grad_particles(theta, z, x) / z.shape[1])
        ),
        "the particles' gradient is divided by D; each entry takes a whole step": running(
            stepping(drift=lambda theta, z, x: grad_particles(theta, z, x) / len(x))
        ),
        "the particles step by h²: the step size was used twice": running(stepping(step=lambda h: h * h)),
        "θ steps by h²: the step size was used twice": running(stepping(theta_step=lambda h: h * h)),
        "the step size is missing before the particles' gradient": running(stepping(step=lambda h: 1.0)),
        "the step size is missing before θ's gradient": running(stepping(theta_step=lambda h: 1.0)),
        "θ's gradient is summed over the particles; average it": running(
            stepping(theta=lambda theta, z, x: grad_theta(theta, z, x).sum())
        ),
        "θ's gradient is averaged over the dimensions; it sums over them": running(
            stepping(theta=lambda theta, z, x: (z - theta).mean()), start=settled_start
        ),
        "θ's gradient is divided by the number of particles twice": running(
            stepping(theta=lambda theta, z, x: grad_theta(theta, z, x).mean() / z.shape[1])
        ),
        "θ's gradient is averaged over particles and dimensions and divided by N once more": running(
            stepping(theta=lambda theta, z, x: (z - theta).mean() / z.shape[1])
        ),
        "θ's gradient is halved": running(stepping(theta_step=lambda h: h / 2)),
        "θ's gradient is doubled": running(stepping(theta_step=lambda h: 2 * h)),
        "θ steps by √(2h); it steps by h": running(stepping(theta_step=lambda h: math.sqrt(2 * h))),
        "θ follows one particle; it follows their mean": running(
            stepping(theta=lambda theta, z, x: grad_theta(theta, z, x)[0])
        ),
        "θ jumps to the cloud's mean, as in EM; it steps by h along its gradient": running(
            lambda theta, z, x, h, noise: (z.mean(), pgd_step(theta, z, x, h, noise)[1])
        ),
        "θ moves first, and its new value moves the particles; both steps start from the old values": running(
            theta_first, start=settled_start
        ),
        "the particles move first, and the new ones move θ; both steps start from the old values": running(
            cloud_first, start=settled_start
        ),
        "the path holds θ before each step, and leaves out the last; it holds θ after each": start_first(prior_start),
        "the path holds θ before each step, and leaves out the last": start_first(settled_start),
        "the returned cloud is that of one step before": cloud_kept_back,
        "the last step is without noise; each has some, after the gradients were taken": last_step_quiet,
        "each has some, after the gradients were taken": running(noise_before_both),
        "θ gets noise as well; only particles do": shaken(lambda z: 1.0),
        "the particles start anew in every step; they go on from where they are": running(
            anew(lambda theta, x, noise: theta + noise)
        ),
        "the path runs backwards": with_path(lambda path: path.flip(0)),
        "these are running means of θ; its values after each step are wanted": with_path(
            lambda path: path.cumsum(0) / torch.arange(1, len(path) + 1)
        ),
        "θ is the same at all steps": running(stepping(theta_step=lambda h: 0.0)),
        "θ is the same at all steps; it moves in each, and a θ that is changed in place needs a copy": (
            theta_without_copies
        ),
        "all dimensions are pulled towards the mean of x; dimension d is pulled towards x_d": running(
            stepping(drift=lambda theta, z, x: x.mean() + theta - 2 * z), start=settled_start
        ),
        "the start does not belong to it, and there is no step too many": start_included,
        "one step is missing": running(unseen=1),
        "keep its path": with_path(lambda path: path[-1]),
        "theta has shape": with_path(lambda path: path[:, None]),
        "z has shape": with_cloud(lambda z: z.mean(1)),
        "it is transposed": with_cloud(lambda z: z.T),
        "theta is nan; with this step size nothing blows up": with_path(lambda path: path * math.nan),
        "returned a list as theta; a tensor is wanted": lambda *inputs: (
            running()(*inputs)[0].tolist(),
            running()(*inputs)[1],
        ),
        "returned a Tensor of shape": lambda *inputs: running()(*inputs)[0],
        "draws random numbers outside `generator`": running(
            noise=lambda x, particles, generator: torch.randn(len(x), particles, dtype=x.dtype)
        ),
        "draws random numbers outside `generator`: give it to torch.randn and its kin": running(start=global_start),
        "goes the same way in every run: leave the generator's seed to the caller": reseeded,
        "goes the same way in every run": seeded_again,
        "each particle has a θ of its own; θ is one number, which follows the average over the particles": own_thetas,
        "one value after each step is wanted, (5,); θ is one number, which follows the average over": all_thetas,
        "the noise has the right variance, but is not normal": running(noise=centred),
        "particles lie around their mean with variance": running(noise=mirrored),
        "the noise in the cloud's mean has": running(stepping(scale=lambda h: 1.2 * math.sqrt(2 * h))),
        "the noise of one dimension keeps company with that of another; each has its own": running(noise=kept_company),
        "times the variance that it should have, 2h/(D·N)": dies_away,
        "θ and the cloud do not move as in θ + h·(mean gradient over the particles)": running(
            noise=lambda x, particles, generator: torch.rand(len(x), particles, generator=generator, dtype=x.dtype)
        ),
        "changed its argument `x` in place": lambda x, *rest: running()(x.add_(0.5), *rest),
    },
)


Gradient = Callable[[int], Tensor]


def minibatch_gradient(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    return total / len(batch) * torch.stack([gradient(image) for image in batch]).sum(0)


def minibatch_by_loop(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    summed = torch.zeros_like(gradient(batch[0]))
    for image in batch:
        summed += gradient(image)
    return summed * (total / len(batch))


def minibatch_by_numpy(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    rows = [gradient(image).numpy() for image in batch]
    return torch.as_tensor(np.mean(rows, axis=0) * total).to(gradient(batch[0]).dtype)


def minibatch_from_first(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    summed = gradient(batch[0]).clone()
    for image in batch[1:]:
        summed.add_(gradient(image))
    return summed.mul_(total).div_(len(batch))


def minibatch_of_tensor(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    indices = torch.tensor(batch)
    return sum(total * gradient(image) for image in indices) / len(indices)


def scaled_by(factor: Callable[[int, int], float]) -> Callable[..., Tensor]:
    """The sum over a batch times another function of |B| and M."""
    return lambda gradient, batch, total: factor(len(batch), total) * sum(gradient(image) for image in batch)


def accumulates_in_place(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    summed = gradient(batch[0])
    for image in batch[1:]:
        summed += gradient(image)
    return summed * total / len(batch)


def scales_in_place(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    return sum(gradient(image).mul_(total / len(batch)) for image in batch)


def minibatch_in_float32(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    summed = torch.zeros(gradient(batch[0]).shape)
    for image in batch:
        summed += gradient(image)
    return summed * total / len(batch)


def changes_batch(gradient: Gradient, batch: list[int], total: int) -> Tensor:
    batch.sort()
    return minibatch_gradient(gradient, batch, total)


NOT_IN_BATCH = "asked for images that are not in the batch; take the gradients of those whose indices `batch` holds"

oracle(
    "minibatch-gradient",
    reference=minibatch_gradient,
    right={
        "a loop": minibatch_by_loop,
        "the mean times M": lambda gradient, batch, total: (
            total * torch.stack([gradient(image) for image in batch]).mean(dim=0)
        ),
        "NumPy": minibatch_by_numpy,
        "in place, on a copy of the first": minibatch_from_first,
        "indices in a tensor": minibatch_of_tensor,
        "Python's sum, |B| images standing for M": scaled_by(lambda size, total: 1 / (size / total)),
        "in another order": lambda gradient, batch, total: minibatch_gradient(gradient, sorted(batch), total),
        "einsum": lambda gradient, batch, total: torch.einsum(
            "b...,b->...",
            torch.stack([gradient(image) for image in batch]),
            torch.full((len(batch),), total / len(batch), dtype=gradient(batch[0]).dtype),
        ),
        "each gradient over its image's probability": lambda gradient, batch, total: torch.stack(
            [gradient(image) / (len(batch) / total) for image in batch]
        ).sum(dim=0),
    },
    wrong={
        "the sum over the batch was not scaled; it stands for all M images, so multiply it by M/|B|": scaled_by(
            lambda size, total: 1
        ),
        "this is the mean over the batch; the sum over all images is M times as large": scaled_by(
            lambda size, total: 1 / size
        ),
        "scaled by |B|/M; that is upside down": scaled_by(lambda size, total: size / total),
        "multiplied by M and not divided by |B|": scaled_by(lambda size, total: total),
        "divided by M; multiply by M/|B|": scaled_by(lambda size, total: 1 / total),
        "scaled by (M − 1)/|B|; there are M images": scaled_by(lambda size, total: (total - 1) / size),
        "scaled by M/(|B| − 1); there are |B| images in the batch": scaled_by(
            lambda size, total: total / max(size - 1, 1)
        ),
        "scaled by M/(|B| + 1); there are |B| images in the batch": scaled_by(lambda size, total: total / (size + 1)),
        "scaled by (M − |B|)/|B|; the batch's own images count too": scaled_by(
            lambda size, total: (total - size) / size
        ),
        "M // |B| drops the fraction; divide with /": scaled_by(lambda size, total: total // size),
        "M/|B| was rounded": scaled_by(lambda size, total: round(total / size)),
        "M/|B| was rounded up to a number of batches": scaled_by(lambda size, total: -(-total // size)),
        "scaled by (M/|B|)²": scaled_by(lambda size, total: (total / size) ** 2),
        "scaled by √(M/|B|), as a standard deviation would be; here it is M/|B|": scaled_by(
            lambda size, total: math.sqrt(total / size)
        ),
        "scaled by M/|B|²; the sum was divided by |B| twice": scaled_by(lambda size, total: total / size**2),
        "the sign is wrong": scaled_by(lambda size, total: -total / size),
        "only the first image of the batch counts": lambda gradient, batch, total: total * gradient(batch[0]),
        "only the last image of the batch counts": lambda gradient, batch, total: (
            total / len(batch) * gradient(batch[-1])
        ),
        "the last image of the batch is missing": lambda gradient, batch, total: (
            total / len(batch) * sum((gradient(image) for image in batch[:-1]), 0 * gradient(batch[0]))
        ),
        "weighted by the images' indices": lambda gradient, batch, total: (
            total / len(batch) * sum(image * gradient(image) for image in batch)
        ),
        "the entries of the gradient were added up; keep its shape": lambda gradient, batch, total: minibatch_gradient(
            gradient, batch, total
        ).sum(),
        "the entries of the gradient were averaged; keep its shape": lambda gradient, batch, total: (
            total * torch.stack([gradient(image) for image in batch]).mean()
        ),
        "this is one gradient for each image; add them up": lambda gradient, batch, total: (
            total / len(batch) * torch.stack([gradient(image) for image in batch])
        ),
        "the sum was taken over the gradient's last axis; it is over the images": lambda gradient, batch, total: (
            total / len(batch) * torch.stack([gradient(image) for image in batch]).sum(-1)
        ),
        "squeezed: an axis of length 1 belongs to the gradient; keep its shape": lambda *arguments: minibatch_gradient(
            *arguments
        ).squeeze(),
        "the median over the batch was taken; a mean is right on average": lambda gradient, batch, total: (
            total * torch.stack([gradient(image) for image in batch]).median(0).values
        ),
        NOT_IN_BATCH: lambda gradient, batch, total: (
            total / len(batch) * sum(gradient(image) for image in range(len(batch)))
        ),
        "asked for images that are not in the batch": lambda gradient, batch, total: sum(
            gradient(image) for image in range(total)
        ),
        "gradient takes the index of one image, an int, and was given list": lambda gradient, batch, total: (
            total / len(batch) * gradient(batch)
        ),
        "changed a gradient that it was given, in place": accumulates_in_place,
        "changed a gradient that it was given, in place; it belongs to the caller": scales_in_place,
        "changed its argument `batch` in place": changes_batch,
        "value is float32; it should be float64, as the inputs are": minibatch_in_float32,
        "returned a list": lambda *arguments: minibatch_gradient(*arguments).tolist(),
        "returned a float": lambda *arguments: minibatch_gradient(*arguments).sum().item(),
    },
)


Pair = tuple[Tensor, Tensor]


def rmsprop_step(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    v = decay * v + (1 - decay) * gradient.square()
    return p + lr * gradient / (v.sqrt() + eps), v


def rmsprop_in_double(p: Tensor, gradient: Tensor, v: Tensor, *rates: float) -> Pair:
    """The reference's numbers, rounded once."""
    moved, square = rmsprop_step(p.double(), gradient.double(), v.double(), *rates)
    return moved.to(p.dtype), square.to(p.dtype)


def rmsprop_of_torch(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    parameter = torch.nn.Parameter(p.clone())
    optimizer = torch.optim.RMSprop([parameter], lr=lr, alpha=decay, eps=eps, maximize=True)
    optimizer.state[parameter] = {"step": torch.tensor(0.0), "square_avg": v.clone()}
    parameter.grad = gradient.clone()
    optimizer.step()
    return parameter.detach(), optimizer.state[parameter]["square_avg"]


def rmsprop_inside(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    new = torch.lerp(gradient**2, v, decay)
    return p + lr * gradient * torch.rsqrt(new + eps), new


def rmsprop_on_copies(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    p, v = p.clone(), v.clone()
    v.mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
    p.addcdiv_(gradient, v.sqrt().add_(eps), value=lr)
    return p, v


def rmsprop_by_numpy(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    g = gradient.numpy().astype(np.float64)
    new = decay * v.numpy() + (1 - decay) * g**2
    moved = p.numpy() + lr * g / (np.sqrt(new) + eps)
    return torch.as_tensor(moved).to(p.dtype), torch.as_tensor(new).to(p.dtype)


def rmsprop_by_entry(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    entries = []
    for one, g, square in zip(p.flatten(), gradient.flatten(), v.flatten(), strict=True):
        square = square + (1 - decay) * (g * g - square)
        entries.append((one + lr * g / (square**0.5 + eps), square))
    moved, squares = zip(*entries, strict=True)
    return torch.stack(moved).reshape(p.shape), torch.stack(squares).reshape(v.shape)


def rmsprop_as(
    change: Callable[..., Tensor] = lambda g, new, old, lr, decay, eps: lr * g / (new.sqrt() + eps),
    kept: Callable[..., Tensor] = lambda g, old, decay: decay * old + (1 - decay) * g.square(),
) -> Callable[..., Pair]:
    """RMSprop with another change of p, from the gradient and both v, or with another v."""

    def step(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
        new = kept(gradient, v, decay)
        return p + change(gradient, new, v, lr, decay, eps), new

    return step


def rmsprop_in_place(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    v = decay * v + (1 - decay) * gradient.square()
    p += lr * gradient / (v.sqrt() + eps)
    return p, v


def rmsprop_v_in_place(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    v.mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
    return p + lr * gradient / (v.sqrt() + eps), v


def rmsprop_gradient_in_place(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    v = decay * v + (1 - decay) * gradient.square()
    return p + gradient.mul_(lr) / (v.sqrt() + eps), v


def rmsprop_old_v_kept(p: Tensor, gradient: Tensor, v: Tensor, *rates: float) -> Pair:
    return rmsprop_step(p, gradient, v, *rates)[0], v.clone()


def rmsprop_by_mean(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
    v = decay * v + (1 - decay) * gradient.square().mean()
    return p + lr * gradient / (v.sqrt() + eps), v


def rmsprop_in_float32(*arguments: Any) -> Pair:
    moved, square = rmsprop_step(*arguments)
    return moved.float(), square.float()


def rmsprop_with(**fixed: float) -> Callable[..., Pair]:
    """RMSprop with numbers of its own instead of some of its arguments lr, decay and eps."""

    def step(p: Tensor, gradient: Tensor, v: Tensor, lr: float, decay: float, eps: float) -> Pair:
        return rmsprop_step(p, gradient, v, **({"lr": lr, "decay": decay, "eps": eps} | fixed))

    return step


oracle(
    "rmsprop-step",
    reference=rmsprop_in_double,
    exact=False,
    right={
        "two lines": rmsprop_step,
        "torch.optim.RMSprop": rmsprop_of_torch,
        "eps inside the root": rmsprop_inside,
        "in place, on copies": rmsprop_on_copies,
        "NumPy": rmsprop_by_numpy,
        "entry by entry": rmsprop_by_entry,
        "eps inside the root, by a power": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g * (new + eps) ** -0.5
        ),
        "without gradients": torch.no_grad()(rmsprop_step),
        "a list": lambda *arguments: list(rmsprop_step(*arguments)),
    },
    wrong={
        "the root of v is missing": rmsprop_as(change=lambda g, new, old, lr, decay, eps: lr * g / (new + eps)),
        "this goes downhill; p is to climb, so add the step": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: -lr * g / (new.sqrt() + eps)
        ),
        "v is a running sum, as Adagrad's; decay weighs the old v and 1 − decay the new square": rmsprop_as(
            kept=lambda g, old, decay: old + g.square()
        ),
        "1 − decay is missing before the squared gradient": rmsprop_as(
            kept=lambda g, old, decay: decay * old + g.square()
        ),
        "decay is missing before the old v": rmsprop_as(kept=lambda g, old, decay: old + (1 - decay) * g.square()),
        "decay is on the wrong side: it weighs the old v, and 1 − decay the squared gradient": rmsprop_as(
            kept=lambda g, old, decay: (1 - decay) * old + decay * g.square()
        ),
        "the gradient is not squared in v": rmsprop_as(kept=lambda g, old, decay: decay * old + (1 - decay) * g),
        "v averages |gradient|; it averages its square": rmsprop_as(
            kept=lambda g, old, decay: decay * old + (1 - decay) * g.abs()
        ),
        "1 − decay was squared with the gradient": rmsprop_as(
            kept=lambda g, old, decay: decay * old + ((1 - decay) * g).square()
        ),
        "the average of old and new gradient was squared; average the squares": rmsprop_as(
            kept=lambda g, old, decay: (decay * old.sqrt() + (1 - decay) * g.abs()).square()
        ),
        "p was moved with the old v; the new one counts at once": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g / (old.sqrt() + eps)
        ),
        "v was divided by 1 − decay first, as Adam does; RMSprop does not": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g / ((new / (1 - decay)).sqrt() + eps)
        ),
        "the new v is not returned; the old one is": rmsprop_old_v_kept,
        "the old v is forgotten: v is the squared gradient alone": rmsprop_as(kept=lambda g, old, decay: g.square()),
        "v does not change; it is a running mean": rmsprop_as(kept=lambda g, old, decay: old.clone()),
        "v is the larger of old and new; it is a running mean": rmsprop_as(
            kept=lambda g, old, decay: torch.maximum(old, g.square())
        ),
        "old and new square count by half each; decay says how much": rmsprop_as(
            kept=lambda g, old, decay: (old + g.square()) / 2
        ),
        "the root of v was returned; keep v itself": lambda *arguments: (
            rmsprop_step(*arguments)[0],
            rmsprop_step(*arguments)[1].sqrt(),
        ),
        "eps was added to the v that is returned; it belongs to the quotient alone": lambda *arguments: (
            rmsprop_step(*arguments)[0],
            rmsprop_step(*arguments)[1] + arguments[-1],
        ),
        "multiplied by √v; divide": rmsprop_as(change=lambda g, new, old, lr, decay, eps: lr * g * (new.sqrt() + eps)),
        "lr is missing": rmsprop_as(change=lambda g, new, old, lr, decay, eps: g / (new.sqrt() + eps)),
        "lr went under the root": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: g * lr**0.5 / (new.sqrt() + eps)
        ),
        "divided by lr; multiply by it": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: g / (max(lr, 1e-3) * (new.sqrt() + eps))
        ),
        "lr was multiplied by 1 − decay": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * (1 - decay) * g / (new.sqrt() + eps)
        ),
        "the squared gradient was added to p; v alone takes its square": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g.square() / (new.sqrt() + eps)
        ),
        "this is a plain gradient step; divide by √v + eps": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g
        ),
        "only the gradient's sign counts here; divide by √v + eps": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g.sign()
        ),
        "p itself is missing: the change alone was returned": lambda p, *others: (
            rmsprop_step(p, *others)[0] - p,
            rmsprop_step(p, *others)[1],
        ),
        "eps is missing: 0/0 where v is 0": rmsprop_as(change=lambda g, new, old, lr, decay, eps: lr * g / new.sqrt()),
        "eps was subtracted; add it": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g / (new.sqrt() - eps)
        ),
        "eps was added after the division; it belongs into the denominator": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * (g / new.sqrt() + eps)
        ),
        "eps is only a lower limit here; add it to √v": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g / new.sqrt().clamp(min=eps)
        ),
        "eps is an argument; as it is, it has no effect where v is not 0: add it to √v": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g / torch.where(new > 0, new.sqrt(), eps)
        ),
        "eps is an argument; as it is, it has no effect": rmsprop_with(eps=1e-8),
        **{
            f"decay is an argument, and {decay:g} was put in its place": rmsprop_with(decay=decay)
            for decay in (0.9, 0.95, 0.99, 0.999)
        },
        **{
            f"lr is an argument, and {rate:g} was put in its place": rmsprop_with(lr=rate)
            for rate in (0.05, 0.01, 0.001, 0.0001)
        },
        "all parameters share one v; each has its own": rmsprop_by_mean,
        "the step was divided by the norm of the gradient; divide each entry by its own √v + eps": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * g / (g.norm() + eps)
        ),
        "the running mean is of the gradient, and it moves p: that is momentum": rmsprop_as(
            change=lambda g, new, old, lr, decay, eps: lr * new,
            kept=lambda g, old, decay: decay * old + (1 - decay) * g,
        ),
        "changed its argument `p` in place": rmsprop_in_place,
        "changed its argument `v` in place": rmsprop_v_in_place,
        "changed its argument `gradient` in place": rmsprop_gradient_in_place,
        "v was returned before p; p comes first": lambda *arguments: rmsprop_step(*arguments)[::-1],
        "returned a Tensor of shape": lambda *arguments: rmsprop_step(*arguments)[0],
        "p is float32; it should be float64, as the inputs are": rmsprop_in_float32,
    },
)


Field = Callable[[Tensor], Tensor]


def langevin(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: torch.Generator) -> Tensor:
    z = z0
    for _ in range(steps):
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
        z = z + step_size * gradient(z) + math.sqrt(2 * step_size) * noise
    return z


def langevin_all_noise_first(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    z = z0.clone()
    noise = (2 * step_size) ** 0.5 * torch.randn(steps, *z0.shape, generator=generator)
    for step in range(steps):
        z += step_size * gradient(z) + noise[step]
    return z


def langevin_by_distribution(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    """A step as a draw of N(z + h∇, 2h)."""
    z = z0
    for _ in range(steps):
        z = torch.normal(z + step_size * gradient(z), math.sqrt(2 * step_size), generator=generator)
    return z


@torch.no_grad()
def langevin_without_gradients(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    z = z0.clone()
    for _ in range(steps):
        slope = gradient(z)
        z.add_(slope, alpha=step_size).add_(torch.empty_like(z).normal_(0, (2 * step_size) ** 0.5, generator=generator))
    return z


def langevin_with_graph(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    z = z0.clone().requires_grad_()
    for _ in range(steps):
        z = z + step_size * gradient(z) + (2 * step_size) ** 0.5 * torch.randn(z0.shape, generator=generator)
    return z


def langevin_coordinate_by_coordinate(
    z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any
) -> Tensor:
    path = [z0]
    for _ in range(steps):
        noise = torch.stack([torch.randn(len(z0), generator=generator) for _ in range(z0.shape[1])], 1)
        path.append(path[-1] + step_size * gradient(path[-1].clone()) + math.sqrt(2 * step_size) * noise)
    return path[-1]


def langevin_box_muller(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    z = z0
    for _ in range(steps):
        radius, angle = torch.rand(2, *z0.shape, generator=generator, dtype=torch.float64)
        noise = (-2 * torch.log1p(-radius)).sqrt() * (2 * math.pi * angle).cos()
        z = z + step_size * gradient(z) + math.sqrt(2 * step_size) * noise.to(z)
    return z


def langevin_recursive(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    if steps == 0:
        return z0
    noise = torch.randn(*z0.shape, generator=generator)
    z = torch.add(z0, gradient(z0) * step_size + noise * math.sqrt(2) * math.sqrt(step_size))
    return langevin_recursive(z, gradient, step_size, steps - 1, generator)


def normal_like(z: Tensor, generator: Any) -> Tensor:
    return torch.randn(z.shape, generator=generator, dtype=z.dtype)


def walk_as(
    drift: Callable[[float], float] = lambda h: h,
    noise: Callable[[float], float] = lambda h: math.sqrt(2 * h),
    *,
    noisy: Callable[[int, int], bool] = lambda step, steps: True,
    more: int = 0,
    draw: Callable[[Tensor, Any], Tensor] = normal_like,
) -> Callable[..., Tensor]:
    """Langevin sampling with other multiples of gradient and noise, other steps with noise, or other draws."""

    def walk(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
        z = z0
        for step in range(steps + more):
            z = z + drift(step_size) * gradient(z)
            if noisy(step, steps):
                z = z + noise(step_size) * draw(z, generator)
        return z

    return walk


def walk_noise_first(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    z = z0
    for _ in range(steps):
        z = z + math.sqrt(2 * step_size) * normal_like(z, generator)
        z = z + step_size * gradient(z)
    return z


def walk_frozen(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    slope = gradient(z0)
    return langevin(z0, lambda z: slope, step_size, steps, generator)


def walk_reused(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    noise = normal_like(z0, generator)
    return walk_as(draw=lambda z, generator: noise)(z0, gradient, step_size, steps, generator)


def walk_own_generator(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    return langevin(z0, gradient, step_size, steps, torch.Generator().manual_seed(0))


def walk_reseeded(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    return langevin(z0, gradient, step_size, steps, generator.manual_seed(1))


def cloned(generator: torch.Generator) -> torch.Generator:
    """Another generator in the same state; the first one stays where it is."""
    clone = torch.Generator()
    clone.set_state(generator.get_state())
    return clone


def walk_shifted(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    """The start itself is moved before the first step."""
    start = z0 + 0.1 * normal_like(z0, generator)
    return langevin(start, gradient, step_size, steps, generator)


def walk_of_seed(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    """A generator of its own, whose seed is drawn from the one that is given."""
    seed = int(torch.randint(2**31, (), generator=generator))
    return langevin(z0, gradient, step_size, steps, torch.Generator().manual_seed(seed))


def quiet_chain(which: int) -> Callable[[Tensor, Any], Tensor]:
    """Noise for all chains but one."""

    def draw(z: Tensor, generator: Any) -> Tensor:
        noise = normal_like(z, generator)
        noise[which] = 0
        return noise

    return draw


def centred_chains(z: Tensor, generator: Any) -> Tensor:
    noise = normal_like(z, generator)
    return noise - noise.mean(0) if len(z) > 1 else noise


def standardised_chains(z: Tensor, generator: Any) -> Tensor:
    noise = normal_like(z, generator)
    return (noise - noise.mean(0)) / noise.std(0) if len(z) > 1 else noise


def walk_in_place(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    for _ in range(steps):
        z0 += step_size * gradient(z0) + math.sqrt(2 * step_size) * normal_like(z0, generator)
    return z0


def walk_path(z0: Tensor, gradient: Field, step_size: float, steps: int, generator: Any) -> Tensor:
    path = [z0]
    for _ in range(steps):
        path.append(langevin(path[-1], gradient, step_size, 1, generator))
    return torch.stack(path)


def halved_crowd(z: Tensor, generator: Any) -> Tensor:
    """Noise for the first half of the chains, and the same again for the others."""
    half = torch.randn((len(z) + 1) // 2, z.shape[1], generator=generator, dtype=z.dtype)
    return torch.cat([half, half])[: len(z)]


def antithetic_neighbours(z: Tensor, generator: Any) -> Tensor:
    half = torch.randn((len(z) + 1) // 2, z.shape[1], generator=generator, dtype=z.dtype)
    return torch.stack([half, -half], 1).flatten(0, 1)[: len(z)]


oracle(
    "langevin",
    reference=langevin,
    exact=False,
    right={
        "all noise first": langevin_all_noise_first,
        "draws of N(z + h∇, 2h)": langevin_by_distribution,
        "without gradients, in place on a copy": langevin_without_gradients,
        "with a graph": langevin_with_graph,
        "coordinate by coordinate": langevin_coordinate_by_coordinate,
        "Box and Muller's normal numbers": langevin_box_muller,
        "recursion": langevin_recursive,
        "noise in float64": lambda z0, gradient, step_size, steps, generator: langevin(
            z0.double(), lambda z: gradient(z.to(z0.dtype)).double(), step_size, steps, generator
        ).to(z0.dtype),
        "gradient and noise in two lines": walk_as(),
        "a generator of its own, whose seed was drawn from `generator`": walk_of_seed,
        "NumPy's noise, by a seed from `generator`": walk_as(
            draw=lambda z, generator: torch.from_numpy(
                np.random.default_rng(int(torch.randint(2**31, (), generator=generator))).normal(size=z.shape)
            ).to(z)
        ),
    },
    wrong={
        "the noise is multiplied by √h; here it is √(2h)": walk_as(noise=lambda h: math.sqrt(h)),
        "the noise is multiplied by h; here it is √(2h)": walk_as(noise=lambda h: h),
        "the noise is multiplied by 2h, without its root: √(2h)": walk_as(noise=lambda h: 2 * h),
        "the noise is multiplied by √2·h; h belongs under the root: √(2h)": walk_as(noise=lambda h: math.sqrt(2) * h),
        "the noise is multiplied by 2√h; the 2 belongs under the root: √(2h)": walk_as(
            noise=lambda h: 2 * math.sqrt(h)
        ),
        "the noise is multiplied by √(h/2); here it is √(2h)": walk_as(noise=lambda h: math.sqrt(h / 2)),
        "the noise is multiplied by √2; the step size is missing: √(2h)": walk_as(noise=lambda h: math.sqrt(2)),
        "the noise is not scaled; multiply it by √(2h)": walk_as(noise=lambda h: 1),
        "noise is missing: add √(2h)·ξ in every step": walk_as(noise=lambda h: 0),
        "this is z + h/2·∇ + √h·ξ, another convention; here a step is z + h·∇ + √(2h)·ξ": walk_as(
            lambda h: h / 2, lambda h: math.sqrt(h)
        ),
        "the gradient is multiplied by h/2; here it is h": walk_as(lambda h: h / 2),
        "the gradient is multiplied by 2h; here it is h": walk_as(lambda h: 2 * h),
        "the gradient is multiplied by √(2h), as the noise is; here it is h": walk_as(lambda h: math.sqrt(2 * h)),
        "the gradient is multiplied by h²; here it is h": walk_as(lambda h: h**2),
        "the gradient is not scaled; multiply it by h": walk_as(lambda h: 1),
        "the gradient is missing: this only adds noise": walk_as(lambda h: 0),
        "the gradient is subtracted, which leads downhill; add it": walk_as(lambda h: -h),
        "the last step has no noise; every step has": walk_as(noisy=lambda step, steps: step < steps - 1),
        "the first step has no noise; every step has": walk_as(noisy=lambda step, steps: step > 0),
        "only the last step has noise; every step has": walk_as(noisy=lambda step, steps: step == steps - 1),
        "only the first step has noise; every step has": walk_as(noisy=lambda step, steps: step == 0),
        "one step is missing": walk_as(more=-1),
        "one step too many": walk_as(more=1),
        "noise is added before the gradient is taken; take it where the points are": walk_noise_first,
        "the gradient is taken at the start and never again; take it anew in every step": walk_frozen,
        "the same noise is used in every step; draw it anew": walk_reused,
        "the coordinates of a point share one number of noise; draw it in the shape of z0": walk_as(
            draw=lambda z, generator: torch.randn(len(z), 1, generator=generator)
        ),
        "all chains share one noise; draw it in the shape of z0, so that every chain has its own": walk_as(
            draw=lambda z, generator: torch.randn(z.shape[1], generator=generator, dtype=z.dtype)
        ),
        "all chains share one noise": walk_as(
            draw=lambda z, generator: torch.randn((), generator=generator, dtype=z.dtype)
        ),
        "chains share noise with one another; every chain has its own in every step": walk_as(draw=halved_crowd),
        "chains share noise with one another": walk_as(draw=antithetic_neighbours),
        "the noise has the right variance and is not normal; draw it with torch.randn": walk_as(
            draw=lambda z, generator: math.sqrt(12) * (torch.rand(z.shape, generator=generator, dtype=z.dtype) - 0.5)
        ),
        "the noise has the right variance and is not normal": walk_as(
            draw=lambda z, generator: 2 * torch.randint(0, 2, z.shape, generator=generator).to(z.dtype) - 1
        ),
        "mean is": walk_as(draw=lambda z, generator: torch.rand(z.shape, generator=generator, dtype=z.dtype)),
        "variance around their means is": walk_as(
            draw=lambda z, generator: torch.rand(z.shape, generator=generator, dtype=z.dtype) - 0.5
        ),
        "draws random numbers of its own; draw all noise with generator=generator": walk_as(
            draw=lambda z, generator: torch.randn_like(z)
        ),
        "gives other points from the same state of the generator; draw all noise with generator=generator": walk_as(
            draw=lambda z, generator: torch.from_numpy(np.random.randn(*z.shape)).to(z)
        ),
        "gives the same points whatever state the generator is in; draw with it, and do not seed it": (
            walk_own_generator
        ),
        "gives the same points whatever state the generator is in": walk_reseeded,
        "the same noise in every call; draw from `generator` itself, and neither seed nor copy it": (
            lambda z0, gradient, step_size, steps, generator: langevin(
                z0, gradient, step_size, steps, generator.manual_seed(generator.initial_seed())
            )
        ),
        "the same noise in every call; draw from `generator` itself": (
            lambda z0, gradient, step_size, steps, generator: langevin(
                z0, gradient, step_size, steps, torch.Generator().manual_seed(generator.initial_seed())
            )
        ),
        "the same noise in every call": lambda z0, gradient, step_size, steps, generator: langevin(
            z0, gradient, step_size, steps, cloned(generator)
        ),
        "the noise adds up to 0 over the chains; take it as it is drawn, without centring it": walk_as(
            draw=centred_chains
        ),
        "the noise adds up to 0 over the chains": walk_as(draw=standardised_chains),
        "a chain has no noise; every chain has its own in every step": walk_as(draw=quiet_chain(0)),
        "a chain has no noise": walk_as(draw=quiet_chain(-1)),
        "the points moved, though there is no step to take": walk_shifted,
        "the points moved, though there is no step": lambda *arguments: langevin(*arguments).flip(0),
        "the points moved, though there is no": lambda *arguments: langevin(*arguments).sort(0).values,
        "the points' variance around their means is": walk_as(
            draw=lambda z, generator: normal_like(z, generator).clamp(-2, 2)
        ),
        "changed its argument `z0` in place": walk_in_place,
        "the last points are wanted, not the way there": walk_path,
        "returned torch.float32; it should be torch.float64, as z0 is": lambda z0, *others: langevin(
            z0, *others
        ).float(),
        "returned None": lambda *arguments: None,
        "returned a list": lambda *arguments: list(langevin(*arguments)),
    },
)


def best_start(losses: Tensor, z: Tensor) -> Tensor:
    return z[losses.argmin(0), torch.arange(z.shape[1])]


def best_by_loop(losses: Tensor, z: Tensor) -> Tensor:
    best = torch.empty(z.shape[1:], dtype=z.dtype)
    for image in range(z.shape[1]):
        start = min(range(len(losses)), key=lambda r: losses[r, image].item())
        best[image] = z[start, image]
    return best


def best_by_running_minimum(losses: Tensor, z: Tensor) -> Tensor:
    least, best = losses[0], z[0]
    for loss, code in zip(losses[1:], z[1:], strict=True):
        better = loss < least
        best = torch.where(better[:, None], code, best)
        least = torch.where(better, loss, least)
    return best


def best_below(limit: float) -> Callable[..., Tensor]:
    """A running minimum that starts at a number, with codes of 0."""

    def best(losses: Tensor, z: Tensor) -> Tensor:
        least, code = torch.full_like(losses[0], limit), torch.zeros_like(z[0])
        for loss, other in zip(losses, z, strict=True):
            better = loss < least
            least, code = torch.where(better, loss, least), torch.where(better[:, None], other, code)
        return code

    return best


def gathered(indices: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """For each image the code of the start that a function of the losses gives, shape (B,)."""
    return lambda losses, z: z[indices(losses), torch.arange(z.shape[1])]


def of_one_start(index: Callable[[Tensor], Tensor | int]) -> Callable[..., Tensor]:
    """All images from one start, which a function of the losses gives."""
    return lambda losses, z: z[index(losses)]


def changes_losses(losses: Tensor, z: Tensor) -> Tensor:
    best = best_start(losses, z)
    losses[losses.argmin(0), torch.arange(z.shape[1])] = torch.inf
    return best


def changes_codes(losses: Tensor, z: Tensor) -> Tensor:
    for r in range(1, len(z)):
        better = losses[r] < losses[:r].min(0).values
        z.data[0, better] = z[r, better]
    return z[0]


oracle(
    "best-start",
    reference=best_start,
    exact=False,
    right={
        "a loop": best_by_loop,
        "gather": lambda losses, z: z.gather(0, losses.argmin(0)[None, :, None].expand(1, -1, z.shape[2]))[0],
        "take_along_dim": lambda losses, z: z.take_along_dim(losses.argmin(0)[None, :, None], 0).squeeze(0),
        "a running minimum": best_by_running_minimum,
        "a running minimum, from infinity on": best_below(math.inf),
        "min's indices, stacked": lambda losses, z: torch.stack(
            [z[r, b] for b, r in enumerate(losses.min(0).indices.tolist())]
        ),
        "one-hot and einsum": lambda losses, z: torch.einsum(
            "br,rbk->bk", torch.nn.functional.one_hot(losses.argmin(0), len(losses)).to(z), z
        ),
        "sorted": gathered(lambda losses: losses.argsort(0)[0]),
        "topk, images first": lambda losses, z: z.transpose(0, 1)[
            torch.arange(z.shape[1]), torch.topk(losses.T, 1, largest=False).indices[:, 0]
        ],
        "flat indices": lambda losses, z: z.flatten(0, 1)[
            losses.argmin(0) * losses.shape[1] + torch.arange(losses.shape[1])
        ],
    },
    wrong={
        "one start was chosen for all images, by the sum of their losses; each image has its own best": of_one_start(
            lambda losses: losses.nan_to_num(posinf=1e9).sum(1).argmin()
        ),
        "one start was chosen for all images, that of the least loss of all; each image has its own best": of_one_start(
            lambda losses: losses.min(1).values.argmin()
        ),
        "one start was chosen for all images, the one that is best most often; each image has its own": of_one_start(
            lambda losses: losses.argmin(0).mode().values
        ),
        "the running minimum starts at a number that losses can exceed; start it at infinity": best_below(1e9),
        "the running minimum starts at a number that losses can exceed": best_below(1e4),
        "these are the worst starts; take the smallest loss": gathered(lambda losses: losses.argmax(0)),
        "the arg-min runs over the images; it runs over the starts, axis 0": lambda losses, z: z[
            torch.arange(len(z)), losses.argmin(1)
        ],
        "the arg-min runs over all losses at once; each image has its own": gathered(
            lambda losses: losses.argmin() % len(losses) + 0 * losses.argmin(0)
        ),
        "the losses were read as (B, R); they are (R, B)": gathered(
            lambda losses: losses.reshape(losses.shape[1], len(losses)).argmin(1)
        ),
        "this holds the codes of every image for every image: index z with torch.arange(B) too": lambda losses, z: z[
            losses.argmin(0)
        ],
        "the axis of the starts is still there, with length 1": lambda losses, z: best_start(losses, z)[None],
        "gather takes only as much as its index holds: expand it to K": lambda losses, z: z.gather(
            0, losses.argmin(0)[None, :, None]
        )[0],
        "the codes were averaged over the starts; take the best": lambda losses, z: z.mean(0) + 0 * z[0],
        "the codes were averaged with weights softmax(−loss); take the best": lambda losses, z: torch.einsum(
            "rb,rbk->bk", torch.softmax(-losses, 0), z
        ),
        "these are the first starts; take the best": lambda losses, z: z[0] + 0,
        "these are the last starts; take the best": lambda losses, z: z[-1] + 0,
        "these are the second best": gathered(lambda losses: losses.argsort(0)[min(1, len(losses) - 1)]),
        "this is the middle one of each image's starts; take the best": gathered(
            lambda losses: losses.argsort(0)[len(losses) // 2]
        ),
        "the sign of the losses was dropped; the smallest may be negative": gathered(
            lambda losses: losses.abs().argmin(0)
        ),
        "the order was taken for the place: argsort's first row holds the best starts": gathered(
            lambda losses: losses.argsort(0).argsort(0)[0]
        ),
        "the starts are those of the next image": gathered(lambda losses: losses.argmin(0).roll(1)),
        "the starts are right, the images are not: they are in reverse order": lambda losses, z: best_start(
            losses, z
        ).flip(0),
        "the least of each coordinate was taken; losses decide, and a code stays whole": lambda losses, z: (
            z.min(0).values
        ),
        "the shortest code was taken; losses decide": lambda losses, z: z[
            z.square().sum(2).argmin(0), torch.arange(z.shape[1])
        ],
        "these are the losses; the codes are wanted": lambda losses, z: losses.min(0).values,
        "these are the indices of the starts; the codes are wanted": lambda losses, z: losses.argmin(0),
        "codes and losses were multiplied": lambda losses, z: best_start(losses, z) * losses.min(0).values[:, None],
        "axes are exchanged; a code is a row": lambda losses, z: best_start(losses, z).T,
        "the losses were rounded to float32": lambda losses, z: best_start(losses.float(), z),
        "changed its argument `losses` in place": changes_losses,
        "changed its argument `z` in place": changes_codes,
        "returned a list": lambda losses, z: list(best_start(losses, z)),
        "returned a tuple": lambda losses, z: (best_start(losses, z), losses.argmin(0)),
    },
)


def code_of(W: Tensor, error: Tensor, variance: float, prior: float = 1.0) -> Tensor:
    """The most probable code for x − b where it was observed, if the prior's precision is `prior`."""
    precision = prior * torch.eye(W.shape[1], dtype=W.dtype) + W.mT @ W / variance
    return torch.linalg.solve(precision, W.mT @ error / variance)


def completed_by(z: Tensor, W: Tensor, b: Tensor, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    return z, torch.where(observed, x, W @ z + b)


def inpaint_linear(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    z = code_of(W[observed], (x - b)[observed], variance)
    return completed_by(z, W, b, x, observed)


def inpaint_in_double(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """The reference's numbers, rounded once."""
    z, completed = inpaint_linear(W.double(), b.double(), x.double(), observed, variance)
    return z.to(x.dtype), completed.to(x.dtype)


def inpaint_among_pixels(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """The same code from a system with one equation for each observed pixel."""
    seen = W[observed]
    covariance = seen @ seen.T + variance * torch.eye(len(seen), dtype=W.dtype)
    z = seen.T @ torch.linalg.solve(covariance, x[observed] - b[observed])
    completed = W @ z + b
    completed[observed] = x[observed]
    return z, completed


def inpaint_by_least_squares(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float):
    """The prior as K more observations of 0 with variance 1."""
    sigma = math.sqrt(variance)
    rows = torch.cat([W[observed] / sigma, torch.eye(W.shape[1], dtype=W.dtype)])
    aims = torch.cat([(x - b)[observed] / sigma, W.new_zeros(W.shape[1])])
    z = torch.linalg.lstsq(rows, aims[:, None]).solution[:, 0]
    return completed_by(z, W, b, x, observed)


def inpaint_with_weights(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """Hidden pixels with weight 0, after what stands there was replaced."""
    mask = observed.to(W.dtype)
    error = torch.where(observed, x - b, 0.0)
    precision = torch.eye(W.shape[1], dtype=W.dtype) + (W.T * mask) @ W / variance
    z = torch.cholesky_solve((W.T @ error / variance)[:, None], torch.linalg.cholesky(precision)).squeeze(1)
    return completed_by(z, W, b, x, observed)


def nats(z: Tensor, W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> Tensor:
    """−log p(z, x observed), up to a constant."""
    error = x[observed] - (W @ z + b)[observed]
    return 0.5 * z.square().sum() + 0.5 / variance * error.square().sum()


def inpaint_by_lbfgs(start=torch.zeros, rounds: int = 1, **options: Any):
    """A search by L-BFGS."""

    def inpaint(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
        z = start(W.shape[1], dtype=W.dtype).requires_grad_()
        optimizer = torch.optim.LBFGS([z], **options)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = nats(z, W, b, x, observed, variance)
            loss.backward()
            return loss

        for _ in range(rounds):
            optimizer.step(closure)
        return completed_by(z.detach(), W, b, x, observed)

    return inpaint


def inpaint_by_parameter(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """A search in a parameter that keeps its graph."""
    z = torch.nn.Parameter(torch.zeros(W.shape[1], dtype=W.dtype))
    optimizer = torch.optim.LBFGS([z], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nats(z, W, b, x, observed, variance)
        loss.backward()
        return loss

    optimizer.step(closure)
    return z, torch.where(observed, x, W @ z + b)


def inpaint_by_descent(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """Gradient descent with momentum, both as the largest curvature allows; the least is the prior's 1."""
    root = math.sqrt(1 + torch.linalg.matrix_norm(W, 2).item() ** 2 / variance)
    z = before = torch.zeros(W.shape[1], dtype=W.dtype)
    for _ in range(int(12 * root)):
        error = torch.where(observed, x - W @ z - b, 0.0)
        uphill = W.T @ error / variance - z
        z, before = z + 4 / (root + 1) ** 2 * uphill + ((root - 1) / (root + 1)) ** 2 * (z - before), z
    return completed_by(z, W, b, x, observed)


def inpaint_by_inverse(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    precision = torch.eye(W.shape[1]).to(W) * variance + W[observed].T @ W[observed]
    z = torch.inverse(precision) @ W[observed].T @ (x[observed] - b[observed])
    completed = x.clone()
    completed[~observed] = W[~observed] @ z + b[~observed]
    return z, completed


def inpaint_by_numpy(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    seen = observed.numpy()
    weight, error = W.numpy()[seen], (x - b).numpy()[seen]
    z = np.linalg.solve(weight.T @ weight + variance * np.eye(W.shape[1]), weight.T @ error)
    completed = np.where(seen, x.numpy(), W.numpy() @ z + b.numpy())
    return torch.tensor(z, dtype=W.dtype), torch.tensor(completed, dtype=W.dtype)


def inpaint_as(change: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """In-painting whose code is another function of the arguments."""
    return lambda *arguments: completed_by(change(*arguments), *arguments[:4])


def with_variance(change: Callable[[float, int, int], float]) -> Callable[..., tuple[Tensor, Tensor]]:
    """In-painting with another number, made from σ², the count of observed pixels and of all, for σ²."""
    return lambda W, b, x, observed, variance: inpaint_linear(
        W, b, x, observed, change(variance, int(observed.sum()), len(x))
    )


def then_completed(
    change: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The right code and another completion, from (Wz + b, x, observed, b)."""

    def inpaint(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
        z = inpaint_linear(W, b, x, observed, variance)[0]
        return z, change(W @ z + b, x, observed, b)

    return inpaint


def hidden_as_data(fill: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """Hidden pixels, filled by a function of (x, b), are counted as observed."""
    return inpaint_as(
        lambda W, b, x, observed, variance: code_of(W, torch.where(observed, x, fill(x, b)) - b, variance)
    )


def by_mask(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> Tensor:
    """The code from errors that were multiplied by the mask."""
    mask = observed.to(W.dtype)
    precision = torch.eye(W.shape[1], dtype=W.dtype) + (W.T * mask) @ W / variance
    return torch.linalg.solve(precision, W.T @ (mask * (x - b)) / variance)


def blended(decoded: Tensor, x: Tensor, observed: Tensor, b: Tensor) -> Tensor:
    return observed * x + ~observed * decoded


def without_nan(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), 0.0, x)


def inpaint_by_adam(rate: float, steps: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """A search by Adam with one rate."""

    def inpaint(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
        z = torch.zeros(W.shape[1], dtype=W.dtype, requires_grad=True)
        optimizer = torch.optim.Adam([z], lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            nats(z, W, b, x, observed, variance).backward()
            optimizer.step()
        return completed_by(z.detach(), W, b, x, observed)

    return inpaint


def inpaint_diverging(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> Tensor:
    """Gradient descent with too large a step."""
    z = W.new_zeros(W.shape[1])
    for _ in range(1000):
        z = z + 10 * (W[observed].T @ (x - W @ z - b)[observed] / variance - z)
    return z


def inpaint_in_place(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    z, completed = inpaint_linear(W, b, x, observed, variance)
    x[~observed] = completed[~observed]
    return z, x


def inpaint_early(W: Tensor, b: Tensor, x: Tensor, observed: Tensor, variance: float) -> Tensor:
    """One step of gradient descent, and no more."""
    return (W[observed].T @ (x - b)[observed]) / variance


oracle(
    "inpaint",
    reference=inpaint_in_double,
    exact=False,
    right={
        "a system of K equations": inpaint_linear,
        "a system with one equation for each observed pixel": inpaint_among_pixels,
        "least squares with the prior as data": inpaint_by_least_squares,
        "weights of 0 for hidden pixels": inpaint_with_weights,
        "an inverse, multiplied by σ²": inpaint_by_inverse,
        "NumPy": inpaint_by_numpy,
        "L-BFGS with strong_wolfe": inpaint_by_lbfgs(max_iter=100, line_search_fn="strong_wolfe"),
        "L-BFGS with strong_wolfe, from a random start": inpaint_by_lbfgs(
            torch.randn, max_iter=200, line_search_fn="strong_wolfe"
        ),
        "L-BFGS, five calls of twenty iterations with strong_wolfe": inpaint_by_lbfgs(
            rounds=5, line_search_fn="strong_wolfe"
        ),
        "L-BFGS in a parameter": inpaint_by_parameter,
        "gradient descent with momentum": inpaint_by_descent,
        "Adam": inpaint_by_adam(0.1, 500),
        "products with the mask, after NaN and infinities were replaced": lambda W, b, x, observed, variance: (
            inpaint_with_weights(W, b, x.nan_to_num(0, 0, 0), observed, variance)[0],
            blended(W @ inpaint_linear(W, b, x, observed, variance)[0] + b, x.nan_to_num(0, 0, 0), observed, b),
        ),
        "a list": lambda *arguments: list(inpaint_linear(*arguments)),
    },
    wrong={
        "the prior is forgotten: z ~ N(0, I) adds ½|z|² to the loss": inpaint_as(
            lambda W, b, x, observed, variance: torch.linalg.pinv(W[observed]) @ (x - b)[observed]
        ),
        "the mask is inverted: observed is True where x is known": lambda W, b, x, observed, variance: inpaint_linear(
            W, b, x, ~observed, variance
        ),
        "z was found from the hidden entries; the observed ones are data": inpaint_as(
            lambda W, b, x, observed, variance: code_of(W[~observed], (x - b)[~observed], variance)
        ),
        "the root of the variance was taken; it is σ² already, and the loss divides by σ²": with_variance(
            lambda variance, seen, total: math.sqrt(variance)
        ),
        "the variance was squared; it is σ² already": with_variance(lambda variance, seen, total: variance**2),
        "the variance is forgotten: the squared error is divided by 2σ²": with_variance(
            lambda variance, seen, total: 1.0
        ),
        "the error is multiplied by the variance; divide by it": with_variance(
            lambda variance, seen, total: 1 / variance
        ),
        "the prior counts double: ½ is missing before |z|²": with_variance(lambda variance, seen, total: 2 * variance),
        "the data count double: ½ is missing before the squared error": with_variance(
            lambda variance, seen, total: variance / 2
        ),
        "the squared error was averaged over the observed entries; log-likelihoods add": with_variance(
            lambda variance, seen, total: seen * variance
        ),
        "the squared error was averaged over all entries; log-likelihoods add": with_variance(
            lambda variance, seen, total: total * variance
        ),
        "the squared error was scaled up to all entries; hidden ones say nothing": with_variance(
            lambda variance, seen, total: variance * seen / total
        ),
        "the squared norm of z was averaged over the latents; it is a sum": inpaint_as(
            lambda W, b, x, observed, variance: code_of(W[observed], (x - b)[observed], variance, prior=1 / W.shape[1])
        ),
        "the squared norm of z and the squared error were both averaged; both are sums": inpaint_as(
            lambda W, b, x, observed, variance: code_of(
                W[observed], (x - b)[observed], int(observed.sum()) * variance, prior=1 / W.shape[1]
            )
        ),
        "b is forgotten in the error x − Wz − b": inpaint_as(
            lambda W, b, x, observed, variance: code_of(W[observed], x[observed], variance)
        ),
        "b was added to x; subtract it": inpaint_as(
            lambda W, b, x, observed, variance: code_of(W[observed], (x + b)[observed], variance)
        ),
        "b is forgotten: what is completed is Wz + b, and the error x − Wz − b": (
            lambda W, b, x, observed, variance: inpaint_linear(W, 0 * b, x, observed, variance)
        ),
        "hidden entries were counted as data; only observed ones are": hidden_as_data(lambda x, b: x),
        "hidden entries were set to 0 and counted as data; only observed ones are": hidden_as_data(
            lambda x, b: torch.zeros_like(x)
        ),
        "hidden entries count as data with an error of 0; their rows do not belong into WᵀW either": hidden_as_data(
            lambda x, b: b
        ),
        "hidden entries were set to the mean of the others and counted as data": inpaint_as(
            lambda W, b, x, observed, variance: code_of(W, torch.where(observed, x, x[observed].mean()) - b, variance)
        ),
        "hidden entries count as data with an error of 0": inpaint_as(
            lambda W, b, x, observed, variance: torch.linalg.solve(
                torch.eye(W.shape[1], dtype=W.dtype) + W.T @ W / variance, W[observed].T @ (x - b)[observed] / variance
            )
        ),
        "the variance counts in Wᵀ(x − b) and is forgotten in WᵀW": inpaint_as(
            lambda W, b, x, observed, variance: torch.linalg.solve(
                torch.eye(W.shape[1], dtype=W.dtype) + W[observed].T @ W[observed],
                W[observed].T @ (x - b)[observed] / variance,
            )
        ),
        "the variance counts in WᵀW and is forgotten in Wᵀ(x − b)": inpaint_as(
            lambda W, b, x, observed, variance: torch.linalg.solve(
                torch.eye(W.shape[1], dtype=W.dtype) + W[observed].T @ W[observed] / variance,
                W[observed].T @ (x - b)[observed],
            )
        ),
        "the sign of z is wrong": inpaint_as(lambda *arguments: -inpaint_linear(*arguments)[0]),
        "this is Wᵀ(x − b)/σ², one step of a descent; go on until z no longer moves": inpaint_as(inpaint_early),
        "this is the posterior's mean after a step towards it; go all the way": inpaint_as(
            lambda *arguments: inpaint_linear(*arguments)[0] / 2
        ),
        "z is 0: it was never moved": inpaint_as(lambda W, *others: W.new_zeros(W.shape[1])),
        "observed entries were replaced by Wz + b; return them as they are": then_completed(
            lambda decoded, x, observed, b: decoded
        ),
        "hidden entries were left as they were; fill them with Wz + b": then_completed(
            lambda decoded, x, observed, b: x.clone()
        ),
        "completed has x where it is hidden and Wz + b where it is observed; exchange them": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, decoded, x)
        ),
        "hidden entries of completed are Wz; b is forgotten": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, x, decoded - b)
        ),
        "hidden entries of completed are 0; they are Wz + b": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, x, 0.0)
        ),
        "hidden entries of completed are b; they are Wz + b": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, x, b)
        ),
        "x and Wz + b were added in the hidden entries": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, x, x + decoded)
        ),
        "Wz + b was added to observed entries; return them as they are": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, x + decoded, decoded)
        ),
        "observed entries are the mean of x and Wz + b; return them as they are": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, (x + decoded) / 2, decoded)
        ),
        "completed was cut off at 0 and 1; here x may be anything": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, x, decoded).clamp(0, 1)
        ),
        "hidden entries of NaN or ∞ reach z, for 0 · NaN and 0 · ∞ are NaN: select those observed, do not multiply": (
            inpaint_as(by_mask)
        ),
        "hidden entries of NaN reach completed, for NaN · 0 is NaN: use torch.where instead of multiplying": (
            then_completed(blended)
        ),
        "hidden entries of NaN or ∞ reach z and completed, for 0 · NaN and 0 · ∞ are NaN: select, do not multiply": (
            lambda W, b, x, observed, variance: (
                by_mask(W, b, x, observed, variance),
                blended(W @ by_mask(W, b, x, observed, variance) + b, x, observed, b),
            )
        ),
        "hidden entries of ∞ reach completed, for ∞ · 0 is NaN: use torch.where instead of multiplying": then_completed(
            lambda decoded, x, observed, b: blended(decoded, without_nan(x), observed, b)
        ),
        "hidden entries of NaN or ∞ reach z, for 0 · NaN and 0 · ∞ are NaN": inpaint_as(
            lambda W, b, x, observed, variance: by_mask(W, b, without_nan(x), observed, variance)
        ),
        "hidden entries of NaN or ∞ reach z and completed, for 0 · NaN and 0 · ∞ are NaN": (
            lambda W, b, x, observed, variance: (
                by_mask(W, b, without_nan(x), observed, variance),
                blended(W @ by_mask(W, b, without_nan(x), observed, variance) + b, without_nan(x), observed, b),
            )
        ),
        "completed − (Wz + b) for the z returned, where hidden, is 0.001": then_completed(
            lambda decoded, x, observed, b: torch.where(observed, x, decoded + 1e-3)
        ),
        "your search diverges; take a smaller step": inpaint_as(inpaint_diverging),
        "changed its argument `x` in place": inpaint_in_place,
        "z comes first, then completed": lambda *arguments: inpaint_linear(*arguments)[::-1],
        "that is (K,), one code": lambda *arguments: (
            inpaint_linear(*arguments)[0][:, None],
            inpaint_linear(*arguments)[1],
        ),
        "that is (D,), all entries of x": lambda *arguments: (
            inpaint_linear(*arguments)[0],
            inpaint_linear(*arguments)[1][~arguments[3]],
        ),
        "returned a Tensor of shape": lambda *arguments: inpaint_linear(*arguments)[1],
        "returned 3 values": lambda *arguments: (*inpaint_linear(*arguments), arguments[3]),
        "z is float32; it should be float64, as the inputs are": lambda *arguments: (
            inpaint_linear(*arguments)[0].float(),
            inpaint_linear(*arguments)[1],
        ),
    },
)


Mixture = tuple[Tensor, Tensor, Tensor]


def log_shares(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Tensor:
    """log of weight times density, shape (n, C)."""
    return weights.log() + td.MultivariateNormal(means, covs).log_prob(z[:, None])


def responsibilities(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Tensor:
    return log_shares(z, weights, means, covs).softmax(1)


def fitted(z: Tensor, r: Tensor) -> Mixture:
    """Weights, means and covariances from responsibilities (n, C)."""
    count = r.sum(0)
    means = r.T @ z / count[:, None]
    apart = z[:, None] - means
    covs = torch.einsum("nc,nci,ncj->cij", r, apart, apart) / count[:, None, None]
    return count / len(z), means, covs


def gmm_em_step(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Mixture:
    return fitted(z, responsibilities(z, weights, means, covs))


def mixture_in_double(function: Callable[..., Mixture]) -> Callable[..., Mixture]:
    """The same function of float32 tensors, computed in float64, with all results rounded once."""

    def precise(z: Tensor, *mixture: Tensor) -> Mixture:
        weights, means, covs = function(z.double(), *(part.double() for part in mixture))
        return weights.to(z.dtype), means.to(z.dtype), covs.to(z.dtype)

    return precise


def em_point_by_point(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Mixture:
    """Plain loops over points and components, with the quadratic form and the determinant written out."""
    n, dimensions = z.shape
    logs = z.new_zeros(n, len(weights))
    for c in range(len(weights)):
        precision, normalizer = torch.linalg.inv(covs[c]), torch.logdet(covs[c]) + dimensions * math.log(2 * math.pi)
        for i in range(n):
            apart = z[i] - means[c]
            logs[i, c] = weights[c].log() - 0.5 * (apart @ precision @ apart + normalizer)
    r = (logs - logs.logsumexp(1, keepdim=True)).exp()
    new_means, new_covs = torch.zeros_like(means), torch.zeros_like(covs)
    for c in range(len(weights)):
        for i in range(n):
            new_means[c] += r[i, c] * z[i] / r[:, c].sum()
        for i in range(n):
            new_covs[c] += r[i, c] * torch.outer(z[i] - new_means[c], z[i] - new_means[c]) / r[:, c].sum()
    return r.mean(0), new_means, new_covs


def em_by_cholesky(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Mixture:
    """Without 2π, which cancels, and with E[zzᵀ] − mmᵀ."""
    factors = torch.linalg.cholesky(covs)
    white = torch.linalg.solve_triangular(factors, (z[:, None] - means).permute(1, 2, 0), upper=False)
    half_log_determinant = factors.diagonal(dim1=1, dim2=2).log().sum(1)
    r = torch.softmax(weights.log() - half_log_determinant - white.square().sum(1).T / 2, dim=1)
    share = r / r.sum(0)
    new_means = share.T @ z
    second = torch.einsum("nc,ni,nj->cij", share, z, z)
    return r.mean(0), new_means, second - new_means[:, :, None] * new_means[:, None, :]


def em_with_ridge(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Mixture:
    new_weights, new_means, new_covs = gmm_em_step(z, weights, means, covs)
    return new_weights, new_means, new_covs + 1e-6 * torch.eye(z.shape[1], dtype=z.dtype)


def em_by_distribution(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Mixture:
    """Logarithms of torch's own mixture, and covariances by torch.cov's weights."""
    mixture = td.MixtureSameFamily(td.Categorical(weights), td.MultivariateNormal(means, covs))
    joint = weights.log() + mixture.component_distribution.log_prob(z[:, None])
    r = (joint - joint.logsumexp(1, keepdim=True)).exp()
    found = [torch.cov(z.T, correction=0, aweights=column).reshape(covs.shape[1:]) for column in r.T]
    return r.mean(0), torch.stack([column @ z / column.sum() for column in r.T]), torch.stack(found)


def em_by_numpy(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Mixture:
    points, old, spread = (part.numpy().astype(np.float64) for part in (z, means, covs))
    apart = points[None] - old[:, None]
    distance = np.einsum("cni,cij,cnj->nc", apart, np.linalg.inv(spread), apart)
    logs = np.log(weights.numpy()) - 0.5 * (np.linalg.slogdet(spread)[1] + distance)
    r = np.exp(logs - logs.max(1, keepdims=True))
    r /= r.sum(1, keepdims=True)
    count = r.sum(0)
    centres = r.T @ points / count[:, None]
    apart = points[None] - centres[:, None]
    found = np.einsum("nc,cni,cnj->cij", r, apart, apart) / count[:, None, None]
    return tuple(torch.from_numpy(part).to(z.dtype) for part in (count / len(points), centres, found))


def em_after(change: Callable[..., Tensor]) -> Callable[..., Mixture]:
    """An EM step whose responsibilities are another function of (z, weights, means, covs)."""
    return lambda *arguments: fitted(arguments[0], change(*arguments))


def em_with(change: Callable[..., Any]) -> Callable[..., Mixture]:
    """An EM step some of whose results are changed: a function of (z, r, new mixture, old mixture) gives them anew."""

    def step(z: Tensor, *old: Tensor) -> Mixture:
        r = responsibilities(z, *old)
        return change(z, r, fitted(z, r), old)

    return step


def with_covs(change: Callable[[Tensor, Tensor, Mixture, Mixture], Tensor]) -> Callable[..., Mixture]:
    return em_with(lambda z, r, new, old: (*new[:2], change(z, r, new, old)))


def scatter(z: Tensor, r: Tensor, means: Tensor) -> Tensor:
    """Weighted squares around these means, not yet divided by anything."""
    apart = z[:, None] - means
    return torch.einsum("nc,nci,ncj->cij", r, apart, apart)


def quadratic(z: Tensor, means: Tensor, covs: Tensor) -> Tensor:
    """Mahalanobis distances, squared, shape (n, C)."""
    apart = z[:, None] - means
    return torch.einsum("nci,cij,ncj->nc", apart, torch.linalg.inv(covs), apart)


def densities(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Tensor:
    """Responsibilities by dividing weighted densities by their sum."""
    joint = weights * td.MultivariateNormal(means, covs).log_prob(z[:, None]).exp()
    return joint / joint.sum(1, keepdim=True)


def mixture_in_place(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Mixture:
    r = responsibilities(z, weights, means, covs)
    for old, new in zip((weights, means, covs), fitted(z, r), strict=True):
        old.copy_(new)
    return weights, means, covs


def points_in_place(z: Tensor, weights: Tensor, means: Tensor, covs: Tensor) -> Mixture:
    found = gmm_em_step(z, weights, means, covs)
    z -= z.mean(0)
    return found


oracle(
    "gmm-em-step",
    reference=mixture_in_double(gmm_em_step),
    exact=False,
    right={
        "softmax and einsum": gmm_em_step,
        "plain loops": em_point_by_point,
        "Cholesky factors, and E[zzᵀ] − mmᵀ": em_by_cholesky,
        "a ridge of 0.000001": em_with_ridge,
        "distributions and torch.cov": em_by_distribution,
        "NumPy": em_by_numpy,
        "without gradients, as a list": lambda *arguments: list(torch.no_grad()(gmm_em_step)(*arguments)),
        "computed in float64": mixture_in_double(gmm_em_step),
    },
    wrong={
        "the covariances are around the old means; take the new ones": with_covs(
            lambda z, r, new, old: scatter(z, r, old[1]) / r.sum(0)[:, None, None]
        ),
        "only the diagonals of the covariances are left; they are full": with_covs(
            lambda z, r, new, old: torch.diag_embed(new[2].diagonal(dim1=1, dim2=2))
        ),
        "the covariances are spherical; they are full": with_covs(
            lambda z, r, new, old: (
                new[2].diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(z.shape[1], dtype=z.dtype)
            )
        ),
        "all components share one covariance; each has its own": with_covs(
            lambda z, r, new, old: (new[0][:, None, None] * new[2]).sum(0).expand_as(new[2])
        ),
        "the covariances are those of all points; weight them by the responsibilities": with_covs(
            lambda z, r, new, old: ((z - z.mean(0)).T @ (z - z.mean(0)) / len(z)).expand_as(new[2])
        ),
        "the covariances are divided by n; divide by each component's sum of responsibilities": with_covs(
            lambda z, r, new, old: scatter(z, r, new[1]) / len(z)
        ),
        "the covariances are divided by n_c − 1; maximum likelihood divides by n_c": with_covs(
            lambda z, r, new, old: scatter(z, r, new[1]) / (r.sum(0) - 1)[:, None, None]
        ),
        "the covariances are not divided by the sum of responsibilities": with_covs(
            lambda z, r, new, old: scatter(z, r, new[1])
        ),
        "the responsibilities are squared in the covariances": with_covs(
            lambda z, r, new, old: scatter(z, r**2, new[1]) / r.sum(0)[:, None, None]
        ),
        "the responsibilities are missing in the covariances": with_covs(
            lambda z, r, new, old: scatter(z, torch.ones_like(r), new[1]) / len(z)
        ),
        "these are the covariances' inverses": with_covs(lambda z, r, new, old: torch.linalg.pinv(new[2])),
        "the means were not subtracted in the covariances": with_covs(
            lambda z, r, new, old: scatter(z, r, 0 * new[1]) / r.sum(0)[:, None, None]
        ),
        "these are standard deviations; variances are wanted": with_covs(
            lambda z, r, new, old: new[2].sign() * new[2].abs().sqrt()
        ),
        "a ridge as large as 0.001 shows; 0.000001 is enough": with_covs(
            lambda z, r, new, old: new[2] + 1e-3 * torch.eye(z.shape[1], dtype=z.dtype)
        ),
        "the covariances did not change": with_covs(lambda z, r, new, old: old[2].clone()),
        "the means did not change, and the covariances are around them": em_with(
            lambda z, r, new, old: (new[0], old[1].clone(), scatter(z, r, old[1]) / r.sum(0)[:, None, None])
        ),
        "the means did not change": em_with(lambda z, r, new, old: (new[0], old[1].clone(), new[2])),
        "the means are divided by n; divide by each component's sum of responsibilities": em_with(
            lambda z, r, new, old: (
                new[0],
                r.T @ z / len(z),
                scatter(z, r, r.T @ z / len(z)) / r.sum(0)[:, None, None],
            )
        ),
        "the means are not divided by the sum of responsibilities": em_with(
            lambda z, r, new, old: (new[0], r.T @ z, new[2])
        ),
        "the means are those of all points; weight them by the responsibilities": em_with(
            lambda z, r, new, old: (
                new[0],
                z.mean(0).expand_as(new[1]),
                scatter(z, r, z.mean(0).expand_as(new[1])) / r.sum(0)[:, None, None],
            )
        ),
        "the weights did not change": em_with(lambda z, r, new, old: (old[0].clone(), *new[1:])),
        "the weights are the sums of the responsibilities; divide them by n": em_with(
            lambda z, r, new, old: (r.sum(0), *new[1:])
        ),
        "the weights are all the same; they are the mean responsibilities": em_with(
            lambda z, r, new, old: (torch.full_like(new[0], 1 / len(new[0])), *new[1:])
        ),
        "the weights are the shares of points that each component is first for; average the responsibilities": em_with(
            lambda z, r, new, old: (
                torch.bincount(r.argmax(1), minlength=r.shape[1]).to(z) / len(z),
                *new[1:],
            )
        ),
        "the weights were returned as logarithms": em_with(lambda z, r, new, old: (new[0].log(), *new[1:])),
        "old and new weights were multiplied": em_with(
            lambda z, r, new, old: (new[0] * old[0] / (new[0] * old[0]).sum(), *new[1:])
        ),
        "the responsibilities forget the weights": em_after(
            lambda z, weights, means, covs: responsibilities(z, torch.ones_like(weights), means, covs)
        ),
        "the weights went into the responsibilities without a logarithm": em_after(
            lambda z, weights, means, covs: responsibilities(z, weights.exp(), means, covs)
        ),
        "the weights went into the responsibilities twice": em_after(
            lambda z, weights, means, covs: responsibilities(z, weights**2, means, covs)
        ),
        "the responsibilities forget the determinants": em_after(
            lambda z, weights, means, covs: torch.softmax(weights.log() - quadratic(z, means, covs) / 2, 1)
        ),
        "the logarithm of the determinant is not halved": em_after(
            lambda z, weights, means, covs: torch.softmax(
                log_shares(z, weights, means, covs) - torch.logdet(covs) / 2, 1
            )
        ),
        "the determinant has the wrong sign": em_after(
            lambda z, weights, means, covs: torch.softmax(log_shares(z, weights, means, covs) + torch.logdet(covs), 1)
        ),
        "the quadratic form is not halved": em_after(
            lambda z, weights, means, covs: torch.softmax(
                log_shares(z, weights, means, covs) - quadratic(z, means, covs) / 2, 1
            )
        ),
        "the covariance was multiplied with; the quadratic form takes its inverse": em_after(
            lambda z, weights, means, covs: torch.softmax(
                log_shares(z, weights, means, covs)
                + quadratic(z, means, covs) / 2
                - quadratic(z, means, torch.linalg.inv(covs)) / 2,
                1,
            )
        ),
        "the responsibilities see only the diagonals of the covariances": em_after(
            lambda z, weights, means, covs: responsibilities(
                z, weights, means, torch.diag_embed(covs.diagonal(dim1=1, dim2=2))
            )
        ),
        "the responsibilities forget the covariances": em_after(
            lambda z, weights, means, covs: responsibilities(
                z, weights, means, torch.eye(z.shape[1], dtype=z.dtype).expand_as(covs)
            )
        ),
        "the responsibilities add up to 1 over the points; they do over the components": em_after(
            lambda *arguments: log_shares(*arguments).softmax(0)
        ),
        "the responsibilities are not normalised": em_after(lambda *arguments: log_shares(*arguments).exp()),
        "every point went to one component alone; responsibilities are soft": em_after(
            lambda *arguments: torch.nn.functional.one_hot(log_shares(*arguments).argmax(1), len(arguments[1])).to(
                arguments[0]
            )
        ),
        "the responsibilities are the weights, the same for all points": em_after(
            lambda z, weights, means, covs: weights.expand(len(z), -1)
        ),
        "the responsibilities were squared": em_after(lambda *arguments: responsibilities(*arguments) ** 2),
        "densities of a point far away are all 0, and 0/0 is NaN: work with logarithms": em_after(densities),
        "these are two EM steps": lambda z, *mixture: gmm_em_step(z, *gmm_em_step(z, *mixture)),
        "points were standardised first": lambda z, *mixture: gmm_em_step((z - z.mean(0)) / z.std(0), *mixture),
        "means and covariances are exchanged; the order is weights, means, covs": lambda *arguments: (
            gmm_em_step(*arguments)[0],
            *gmm_em_step(*arguments)[:0:-1],
        ),
        "changed its argument `weights` in place": mixture_in_place,
        "changed its argument `z` in place": points_in_place,
        "returned 2 values": lambda *arguments: gmm_em_step(*arguments)[:2],
        "returned a dict": lambda *arguments: dict(
            zip(("weights", "means", "covs"), gmm_em_step(*arguments), strict=True)
        ),
        "weights is float32; it should be float64, as the inputs are": lambda *arguments: tuple(
            part.float() for part in gmm_em_step(*arguments)
        ),
    },
)
