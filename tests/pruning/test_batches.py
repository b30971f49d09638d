import pytest
import torch

from netgraph.errors import UsageError
from netgraph.pruning import shuffled_batches


def test_every_sample_once_with_its_target_in_an_order_of_the_epoch() -> None:
    x = torch.arange(12)
    batches = shuffled_batches(x, -x, batch_size=3, seed=5)
    seen = torch.cat([a for a, _ in batches(2)])
    assert sorted(seen.tolist()) == x.tolist()
    assert all(torch.equal(a, -b) for a, b in batches(2))
    assert torch.equal(seen, torch.cat([a for a, _ in batches(2)]))
    assert not torch.equal(seen, torch.cat([a for a, _ in batches(3)]))
    other = shuffled_batches(x, -x, batch_size=3, seed=6)
    assert not torch.equal(seen, torch.cat([a for a, _ in other(2)]))


def test_an_incomplete_batch_is_left_out() -> None:
    assert [len(a) for a, _ in shuffled_batches(torch.zeros(7), torch.zeros(7), 3)(0)] == [3, 3]


@pytest.mark.parametrize(("inputs", "targets", "size"), [(4, 3, 2), (4, 4, 5), (4, 4, 0), (0, 0, 1)])
def test_refuses(inputs: int, targets: int, size: int) -> None:
    with pytest.raises(UsageError, match="batches: expected"):
        shuffled_batches(torch.zeros(inputs), torch.zeros(targets), size)
