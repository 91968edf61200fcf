"""Latent-variable models from parts: a prior p(z), a posterior q(z | x) and an observation model p(x | z).

    prior = models.GaussianPrior(16)
    posterior = models.encoder((1, 28, 28), 16, models.Gaussian())
    observation = models.decoder(16, (1, 28, 28), models.Bernoulli())
    model = models.LatentVariableModel(prior, posterior, observation)
    history = models.train(model, train, dev, epochs=20)

Each part is a module that returns a `torch.distributions` object: the prior with batch shape () and event shape
(latent,), the posterior with the batch shape of the images that it is given, the observation model with that of the
codes, and one image as its event. Codes are floating point always: a category is a one-hot vector, a bit is 0.0 or 1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvmlib.lazy import lazily

if TYPE_CHECKING:
    from lvmlib.models.conditionals import Conditional, decoder, encoder
    from lvmlib.models.families import Bernoulli, Categorical, ContinuousBernoulli, Gaussian, Mixture
    from lvmlib.models.latent_variable_model import LatentVariableModel
    from lvmlib.models.priors import BitsPrior, CategoricalPrior, GaussianPrior, MixturePrior
    from lvmlib.models.training import train

_MODULES = {
    "GaussianPrior": "priors",
    "MixturePrior": "priors",
    "CategoricalPrior": "priors",
    "BitsPrior": "priors",
    "Gaussian": "families",
    "Mixture": "families",
    "Categorical": "families",
    "Bernoulli": "families",
    "ContinuousBernoulli": "families",
    "Conditional": "conditionals",
    "encoder": "conditionals",
    "decoder": "conditionals",
    "LatentVariableModel": "latent_variable_model",
    "train": "training",
}

__all__ = [
    "Bernoulli", "BitsPrior", "Categorical", "CategoricalPrior", "Conditional", "ContinuousBernoulli", "Gaussian",
    "GaussianPrior", "LatentVariableModel", "Mixture", "MixturePrior", "decoder", "encoder", "train",
]  # fmt: skip


__getattr__, __dir__ = lazily(__name__, _MODULES)
