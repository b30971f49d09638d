import pytest
import torch

from netgraph.errors import UsageError
from netgraph.hub import Split
from netgraph.hub.recipes.classifier import mirrored, shifted
from netgraph.hub.recipes.stream import Feed, feed
from netgraph.pruning import shuffled_batches

SPLIT = Split(torch.rand(10, 1, 4, 6, generator=torch.Generator().manual_seed(0)), torch.arange(10))


def test_one_pass_without_changes_is_what_shuffled_batches_gives() -> None:
    plain = shuffled_batches(SPLIT.images, SPLIT.labels, 4, seed=3)
    for epoch in (0, 5):
        pairs = list(zip(plain(epoch), feed(SPLIT, Feed(batch_size=4, seed=3))(epoch), strict=True))
        assert len(pairs) == 2
        assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in pairs)


def test_repeated_passes_are_different_and_come_again() -> None:
    batches = feed(SPLIT, Feed(batch_size=5, repeat=3))
    orders = [labels.tolist() for _, labels in batches(0)]
    assert len(orders) == 6
    passes = [orders[i] + orders[i + 1] for i in (0, 2, 4)]
    assert all(sorted(p) == list(range(10)) for p in passes) and passes[0] != passes[1] != passes[2]
    assert [labels.tolist() for _, labels in batches(0)] == orders
    assert not set(map(tuple, orders)) & {tuple(labels.tolist()) for _, labels in batches(1)}


def test_changed_images_are_those_of_training_and_the_same_again() -> None:
    settings = Feed(batch_size=10, shift=1, flip=True, seed=2)
    ((first, labels),) = feed(SPLIT, settings)(4)
    ((again, _),) = feed(SPLIT, settings)(4)
    assert torch.equal(first, again)
    generator = torch.Generator().manual_seed(2 * 1_000_003 + 4)
    assert torch.equal(first, mirrored(shifted(SPLIT.images[labels], 1, generator), generator))
    assert not torch.equal(first, SPLIT.images[labels])


def test_mirrored_turns_some_left_to_right() -> None:
    found = mirrored(SPLIT.images, torch.Generator().manual_seed(0))
    turned = [torch.equal(a, b.flip(-1)) for a, b in zip(found, SPLIT.images, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(found, SPLIT.images, strict=True)]
    assert all(a != b for a, b in zip(turned, same, strict=True)) and 0 < sum(turned) < 10


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"repeat": 0}, {"shift": -1}, {"repeat": 1.5}], ids=str)
def test_refuses(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"meta-train: expected .* to be a whole number"):
        Feed(**bad)  # type: ignore[arg-type]
