from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from mobilevision.data import DataModule

Make = Callable[..., DataModule]


class Diary(pl.LightningModule):
    """Writes down which samples it is given, and their pixels' sum."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: list[tuple[int, list[int], int]] = []

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        self.seen.append((self.current_epoch, batch["index"].tolist(), int(batch["image"].sum())))
        return self.layer(torch.ones(1, 1)).sum()

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        self.log("val", batch["image"].float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data: DataModule, folder: Path, resume: Path | None = None, **options: Any) -> Diary:
    diary = Diary()
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
    trainer.fit(diary, datamodule=data, ckpt_path=resume)
    return diary


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("workers", "stop"), [(0, 2), (0, 4), (0, 6), (2, 2)])
def test_lightning_goes_on_with_the_sample_after_the_last(
    shapes: Make, tmp_path: Path, workers: int, stop: int
) -> None:
    """24 samples in batches of 5 are 4 steps an epoch: step 2 and 6 lie in mid-epoch, 4 at an end."""
    whole = fit(shapes(workers=workers), tmp_path, enable_checkpointing=False)
    assert len(whole.seen) == 12
    keep = pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    fit(shapes(workers=workers), tmp_path, callbacks=[keep])
    saved = tmp_path / f"step={stop}.ckpt"
    resumed = fit(shapes(workers=workers), tmp_path, resume=saved, enable_checkpointing=False)
    assert resumed.seen == whole.seen[stop:]
