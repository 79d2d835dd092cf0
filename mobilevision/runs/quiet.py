"""Keep quiet what libraries say that a user can do nothing about."""

from __future__ import annotations

import logging
import warnings

# Each with the reason why it is of no use to a user of this framework.
_WARNINGS = (
    ".*treespec, LeafSpec.*",  # between Lightning and torch
    ".*does not have many workers.*",  # data.workers is chosen by the number of processors
    ".*is smaller than the logging interval.*",  # small data sets are legal
    ".*litlogger.*",  # an advertisement
    ".*resuming from a checkpoint that ended before the epoch ended.*",  # our loader resumes in mid-epoch exactly
    ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run's own
    ".*find_unused_parameters=True was specified.*",  # needed where the backbone is frozen at first
    ".*lr_scheduler.step\\(\\).* before .*optimizer.step\\(\\).*",  # a skipped step of mixed precision
    ".*it is recommended to use `self.log\\(.*sync_dist=True\\).*",  # metrics are added up over processes before
    ".*lr_find.*",
)


def quiet() -> None:
    """Show a library's warnings only where they ask for something; errors always."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
