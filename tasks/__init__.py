"""The tasks: one final LightningModule a file, over the contract in :mod:`mobilevision.tasks.base`."""
