"""A small library under six labs on deep latent-variable models."""

__version__ = "0.1.0"

from lvmlib import show
from lvmlib.check import check
from lvmlib.data import batches, load
from lvmlib.experiment import experiment
from lvmlib.fit import EarlyStopping, fit
from lvmlib.profile import profile, seed_all, setup

__all__ = [
    "EarlyStopping",
    "batches",
    "check",
    "experiment",
    "fit",
    "load",
    "profile",
    "seed_all",
    "setup",
    "show",
]
