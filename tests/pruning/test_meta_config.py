import json
import math

import pytest

from netgraph.errors import UsageError
from netgraph.pruning import MetaTrainConfig


def test_rate_drops_at_its_epochs() -> None:
    config = MetaTrainConfig(learning_rate=1.0, drop_epochs=(1, 3), drop=0.5)
    assert [config.rate(e) for e in range(5)] == [1.0, 0.5, 0.5, 0.25, 0.25]


def test_round_trip_through_json() -> None:
    config = MetaTrainConfig(epochs=7, drop_epochs=(2, 4), clip_norm=None, targets=(0.1, 0.2), patience=3)
    assert MetaTrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


BAD = [
    {"epochs": 0},
    {"epochs": 1.5},
    {"epochs": True},
    {"batches_per_step": 0},
    {"learning_rate": 0},
    {"learning_rate": math.nan},
    {"learning_rate": "fast"},
    {"weight_decay": -1},
    {"sparsity": math.inf},
    {"alpha": 0},
    {"clip_norm": 0},
    {"checkpoint_every": 0},
    {"temperature": 0},
    {"decision": -1},
    {"overrun": math.nan},
    {"patience": 0},
    {"targets": (0.5,)},
    {"targets": (0.6, 0.5)},
    {"targets": (0, 0.5)},
    {"targets": (0.5, 1.5)},
]


@pytest.mark.parametrize("kwargs", BAD, ids=str)
def test_refuses(kwargs: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="MetaTrainConfig: expected"):
        MetaTrainConfig(**kwargs)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="MetaTrainConfig: expected"):
        MetaTrainConfig.from_dict(kwargs)


def test_refuses_unknown_fields() -> None:
    with pytest.raises(UsageError, match="got lr; remove them"):
        MetaTrainConfig.from_dict({"lr": 1.0})
