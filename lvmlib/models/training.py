"""Training: by path derivatives where codes carry gradients, and otherwise by the estimator that is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.optim import Adam, Optimizer, RMSprop

from lvmlib.data import ImageSet, batches
from lvmlib.early_stopping import EarlyStopping
from lvmlib.fit import clip_gradients, fit
from lvmlib.history import History
from lvmlib.models.latent_variable_model import LatentVariableModel
from lvmlib.profile import profile

__all__ = ["train", "weighted_log_joint"]

LogJoint = Callable[[Tensor], Tensor]
Estimator = Callable[[td.Distribution, LogJoint, Tensor], tuple[Tensor, Tensor]]


def train(
    model: LatentVariableModel,
    train_images: ImageSet | Tensor,
    dev_images: ImageSet | Tensor | None = None,
    *,
    estimator: Estimator | None = None,
    control_variates: nn.Module | Iterable[nn.Module] = (),
    epochs: int,
    batch_size: int = 64,
    rate_weight: float = 1.0,
    lr: float = 1e-3,
    clip: float | None = None,
    draws: int = 1,
    dev_draws: int = 10,
    every: int = 1,
    generator: torch.Generator | None = None,
    stop: EarlyStopping | None = None,
    checkpoint: str | Path | None = None,
    log: str | Path | None = None,
    on_epoch: Callable[[int], Mapping[str, Tensor] | None] | None = None,
    progress: bool = True,
) -> History:
    """Ascend the ELBO of a model, and leave it in eval mode.

        history = models.train(model, train, dev, epochs=20)

    Prior and observation model, posterior, and control variates have an optimizer each: Adam for path derivatives,
    RMSprop for an estimator. The order of the batches comes from `generator`; codes and dropout come from torch's own
    stream. Seed both, as `generator = seed_all(0)` does, and training gives the same numbers again.

    Args:
        model: Is moved to `profile.device`.
        train_images: (N, *image).
        dev_images: Measured with dropout off, after every `every` epochs; None for no measuring.
        estimator: (q, log_joint, x) → (surrogate, loss), two 0-d tensors in nats, averaged over the batch. q is
            q(z | x) with batch shape (batch,); log_joint maps codes (…, batch, latent) to log p(x, z), (…, batch). The
            surrogate, whose gradient estimates that of the ELBO, is ascended by prior, observation model and
            posterior; the loss is descended by the control variates. None for the path derivative.
        control_variates: What the estimator learns or remembers, a module or several; checkpoints hold it, its buffers
            included.
        epochs: How many in all, those before a resume included.
        batch_size: Images a step.
        rate_weight: β of the loss distortion + β·rate (Higgins et al., *β-VAE*, 2017, equation 4). An estimator is then
            handed `weighted_log_joint`.
        lr: Learning rate of all optimizers.
        clip: Largest Euclidean norm of the model's gradient, and of the control variates'; None for any.
        draws: Codes an image for the path derivative; an estimator draws as many as it likes.
        dev_draws: Codes an image when measuring.
        every: Epochs from one measuring to the next.
        generator: Decides the order of the batches.
        stop: See `lvmlib.fit`, also for `checkpoint`, `log`, `on_epoch` and `progress`.

    Returns:
        For each epoch the means of `loss`, `distortion` and `rate` (path derivative), or of `surrogate` and
        `control-variate loss` (estimator); of `gradient norm` if it is clipped; and over the development images
        `dev/elbo`, `dev/distortion`, `dev/rate` and the importance-weighted `dev/log-likelihood`. In nats.

    Raises:
        TypeError: The estimator does not return two 0-d tensors.
        ValueError: There is no estimator and codes carry no gradient, or a number is out of its range.
        TrainingStopped: A metric became NaN or infinite; see `lvmlib.fit`.
    """
    if rate_weight < 0 or draws < 1:
        raise ValueError(f"rate_weight={rate_weight} and draws={draws}; give at least 0 and 1.")
    variates = control_variates if isinstance(control_variates, nn.Module) else nn.ModuleList(control_variates)
    both = nn.ModuleList([model, variates]).to(profile.device)
    loader = batches(train_images, batch_size, generator=generator)
    groups = _groups(model, variates)
    of_model, of_variates = groups["generative"] + groups["inference"], groups["control variates"]
    optimizers = {name: _optimizer(own, lr, estimator is not None) for name, own in groups.items() if own}
    if estimator is None:
        _refuse_without_path(model)

    def step(x: Tensor) -> dict[str, Tensor]:
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        if estimator is None:
            metrics = _descend_path(model, x, draws, rate_weight)
        else:
            q = model.posterior(x)
            surrogate, loss = _two_numbers(estimator(q, weighted_log_joint(model, x, q, rate_weight), x))
            # each is the business of its own parameters only, whatever else its graph reaches
            (-surrogate).backward(inputs=of_model, retain_graph=loss.requires_grad)
            if of_variates and loss.requires_grad:
                loss.backward(inputs=of_variates)
            metrics = {"surrogate": surrogate, "control-variate loss": loss}
        if clip is not None:
            metrics["gradient norm"] = clip_gradients(of_model, clip)
            clip_gradients(of_variates, clip)
        for optimizer in optimizers.values():
            optimizer.step()
        return metrics

    def validate() -> dict[str, Tensor]:
        if dev_images is None:
            return {}
        both.eval()
        images = dev_images.images if isinstance(dev_images, ImageSet) else dev_images
        measured = model.measure(images, dev_draws)
        both.train()
        return {f"dev/{name}": nats.mean() for name, nats in measured.items()}

    both.train()
    try:
        return fit(
            step,
            loader,
            epochs=epochs,
            validate=validate,
            every=every,
            stop=stop,
            checkpoint=checkpoint,
            state={"model": model, "control variates": variates}
            | {f"{name} optimizer": optimizer for name, optimizer in optimizers.items()},
            log=log,
            on_epoch=on_epoch,
            progress=progress,
        )
    finally:
        both.eval()


def weighted_log_joint(model: LatentVariableModel, x: Tensor, q: td.Distribution, rate_weight: float) -> LogJoint:
    """What an estimator of the ELBO takes for log p(x, z), so that it estimates −(distortion + β·rate).

    The ELBO is E_q[log_joint(z) − log q(z | x)]. With log p(x | z) + β log p(z) + (1 − β) log q(z | x) for log_joint
    it is E_q[log p(x | z)] − β KL(q(z | x) ‖ p(z)). With β ≠ 1 that is no joint distribution, and its sum over z means
    nothing.

    Args:
        model: Gives log p.
        x: Images (batch, *image).
        q: q(z | x), batch shape (batch,).
        rate_weight: β.

    Returns:
        Codes (…, batch, latent) to nats (…, batch).
    """

    def log_joint(z: Tensor) -> Tensor:
        if rate_weight == 1:
            return model.log_joint(x, z)
        log_prior = model.prior().log_prob(z)
        return model.observation(z).log_prob(x) + rate_weight * log_prior + (1 - rate_weight) * q.log_prob(z)

    return log_joint


def _descend_path(model: LatentVariableModel, x: Tensor, draws: int, rate_weight: float) -> dict[str, Tensor]:
    distortion, rate = (term.mean() for term in model.distortion_and_rate(x, draws))
    loss = distortion + rate_weight * rate
    loss.backward()
    return {"loss": loss, "distortion": distortion, "rate": rate}


def _two_numbers(returned: object) -> tuple[Tensor, Tensor]:
    match returned:
        case (Tensor() as surrogate, Tensor() as loss) if surrogate.dim() == loss.dim() == 0:
            return surrogate, loss
    raise TypeError("The estimator does not return (surrogate, loss), two 0-d tensors; average both over the batch.")


def _refuse_without_path(model: LatentVariableModel) -> None:
    with torch.no_grad():
        q = model.eval().posterior(torch.zeros(1, *model.image_shape, device=model.device))
    if not q.has_rsample:
        raise ValueError(
            "The posterior's draws carry no gradient, so there is no path derivative; "
            "give train(estimator=…) a score-function estimator."
        )


def _groups(model: LatentVariableModel, variates: nn.Module) -> dict[str, list[nn.Parameter]]:
    """What each optimizer moves; a parameter that parts share belongs to the first of them."""
    modules = {
        "generative": nn.ModuleList([model.prior, model.observation]),
        "inference": model.posterior,
        "control variates": variates,
    }
    groups: dict[str, list[nn.Parameter]] = {}
    for name, module in modules.items():
        taken = {id(parameter) for group in groups.values() for parameter in group}
        groups[name] = [one for one in module.parameters() if one.requires_grad and id(one) not in taken]
    return groups


def _optimizer(parameters: list[nn.Parameter], lr: float, score_function: bool) -> Optimizer:
    return RMSprop(parameters, lr) if score_function else Adam(parameters, lr, fused=True)
