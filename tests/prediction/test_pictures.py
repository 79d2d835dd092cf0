"""Which predictions are drawn, and under which names."""

from __future__ import annotations

from mobilevision.prediction.samples import Sample, choose


def samples(*losses: float) -> list[Sample]:
    return [Sample(index, loss, "truth", {}) for index, loss in enumerate(losses)]


def test_the_first_half_are_the_worst() -> None:
    chosen = choose(samples(5.0, 4.0, 3.0, 2.0, 1.0, 0.0), 4)
    assert [(name, sample.index) for name, sample in chosen.items()][:2] == [("worst_01.png", 0), ("worst_02.png", 1)]
    assert len(chosen) == 4
    assert {sample.index for name, sample in chosen.items() if name.startswith("typical")} <= {2, 3, 4, 5}


def test_no_sample_is_the_worst_where_all_have_one_loss() -> None:
    assert set(choose(samples(0.0, 0.0, 0.0), 2)) == {"typical_01.png", "typical_02.png"}


def test_of_nothing_nothing_is_drawn() -> None:
    assert choose([], 4) == {}
