from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytorch_lightning.utilities.combined_loader import CombinedLoader

from mobilevision.data import Augment, DataModule
from mobilevision.data.files import FileRecords
from mobilevision.data.loader import Batch, Loader
from mobilevision.spec import Features

from .conftest import Save

Make = Callable[..., DataModule]


def equal(first: list[Batch], second: list[Batch]) -> bool:
    """Whether two runs of batches are the same to the bit."""
    return len(first) == len(second) and all(
        torch.equal(a[key], b[key]) for a, b in zip(first, second, strict=True) for key in ("image", "target", "index")
    )


def test_a_batch_is_one_uint8_channels_last_tensor(shapes: Make) -> None:
    batch = next(iter(shapes(resolution=[24, 40]).train_dataloader()))
    image = batch["image"]
    assert image.shape == (5, 3, 24, 40)
    assert image.dtype == torch.uint8
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert batch["target"].dtype == batch["index"].dtype == torch.int64
    assert torch.equal(batch["target"], batch["index"] % 10)


def test_workers_change_nothing(shapes: Make) -> None:
    alone, helped = shapes().train_dataloader(), shapes(workers=2).train_dataloader()
    assert equal(list(alone), list(helped))


def test_epochs_differ_in_order_and_pixels(shapes: Make) -> None:
    loader = shapes(train=10, batch_size=10).train_dataloader()
    first = next(iter(loader))
    loader.epochs.set_epoch(1)
    second = next(iter(loader))
    rows = second["index"].argsort()[first["index"].argsort().argsort()]
    assert torch.equal(second["index"][rows], first["index"])
    assert not torch.equal(second["image"][rows], first["image"])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_resume_in_mid_epoch_goes_on_with_the_next_batch(shapes: Make, workers: int, taken: int) -> None:
    def loader() -> Loader:
        made = shapes(workers=workers).train_dataloader()
        made.epochs.set_epoch(4)
        return made

    uninterrupted = list(loader())
    stopped = loader()
    batches = iter(stopped)
    for _ in range(taken):
        next(batches)
    state = stopped.state_dict()

    resumed = shapes(workers=workers).train_dataloader()
    resumed.load_state_dict(state)
    assert len(resumed) == len(uninterrupted)
    assert equal(list(resumed), uninterrupted[taken:])
    assert resumed.state_dict() == {"epoch": 4, "batches": len(uninterrupted)}
    assert equal(list(resumed), uninterrupted), "only the first epoch after the resume is shortened"


def test_a_state_of_another_epoch_starts_that_epoch_anew(shapes: Make) -> None:
    resumed = shapes().train_dataloader()
    resumed.load_state_dict({"epoch": 4, "batches": 4})
    resumed.epochs.set_epoch(5)  # as Lightning does when the checkpoint was written at the end of epoch 4
    assert len(list(resumed)) == len(resumed)


def test_lightning_finds_the_state_and_the_epoch(shapes: Make) -> None:
    from lightning_fabric.utilities.data import _set_sampler_epoch

    loader = shapes().train_dataloader()
    combined = CombinedLoader(loader, "max_size_cycle")
    _set_sampler_epoch(loader, 7)
    batches = iter(combined)
    next(batches)
    assert combined._state_dicts() == [{"epoch": 7, "batches": 1}]


def test_the_augmentation_leaves_torchs_generator_alone(shapes: Make) -> None:
    module = shapes(augment=Augment(rand_augment=9, erasing=1.0, color_jitter=0.3))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = list(module.train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert equal(first, list(module.train_dataloader()))


@pytest.mark.parametrize("workers", [0, 2])
def test_cached_features_are_served_until_their_epoch(shapes: Make, workers: int) -> None:
    module = shapes(workers=workers)
    pooled = torch.arange(24.0)[:, None]
    features = Features({16: torch.zeros(24, 2, 1, 1)}, pooled)
    module.cache_features({"train": features}, until_epoch=2)
    loader = module.train_dataloader()
    loader.epochs.set_epoch(1)
    batch = next(iter(loader))
    assert set(batch) == {"features", "target", "index"}
    assert torch.equal(batch["features"].pooled[:, 0], batch["index"].float())
    assert batch["features"].maps[16].shape == (5, 2, 1, 1)
    loader.epochs.set_epoch(2)
    assert "image" in next(iter(loader))
    assert "image" in next(iter(module.val_dataloader()))


def test_processes_share_an_epoch_without_overlap(shapes: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, judged = [], []
    for rank in range(3):
        monkeypatch.setattr("mobilevision.data.module._rank_and_world", lambda rank=rank: (rank, 3))
        data = shapes(batch_size=4)
        trained.append([index for batch in data.train_dataloader() for index in batch["index"].tolist()])
        judged.append([index for batch in data.val_dataloader() for index in batch["index"].tolist()])
    assert sorted(index for share in trained for index in share) == list(range(24))
    assert {len(share) for share in trained} == {8}
    assert sorted(index for share in judged for index in share) == list(range(10)), "10 does not divide by 3"
    assert [len(share) for share in judged] == [4, 3, 3]


def test_a_loader_can_be_sent_to_a_process_that_is_not_forked(shapes: Make, save: Save) -> None:
    save("a/1.jpg")
    records = FileRecords(
        paths=[b"a/1.jpg"], targets=np.zeros(1, np.int64), channels=3, root=save("a/1.jpg").parents[1]
    )
    records.shape(0)  # an image is open now
    for original in (records, shapes().splits.train):
        assert original is not None
        copy = pickle.loads(pickle.dumps(original))
        assert np.array_equal(copy.pixels(0), original.pixels(0))
    source = shapes(augment=Augment(rand_augment=5)).train_dataloader().source
    again = pickle.loads(pickle.dumps(source))
    assert np.array_equal(again.sample(1, 2).pixels, source.sample(1, 2).pixels)
