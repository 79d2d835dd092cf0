"""The tasks: one final LightningModule a file, over the contract in :mod:`tasks.base`."""
