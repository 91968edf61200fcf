"""A small library under six labs on deep latent-variable models."""

__version__ = "0.1.0"

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

try:
    from lvmlib import show
    from lvmlib.check import check
    from lvmlib.data import batches, load
    from lvmlib.experiment import experiment
    from lvmlib.fit import EarlyStopping, fit
    from lvmlib.profile import profile, seed_all, setup
except Exception as error:  # a broken torch raises whatever it likes; `lvm doctor` must be importable to name it
    from lvmlib.unusable import withhold

    withhold(__all__, globals(), error)
