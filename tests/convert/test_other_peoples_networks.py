"""A sample of the networks of `python -m benchmarks.coverage`: all checks that the benchmark makes."""

from importlib.util import find_spec
from typing import Any

import pytest

MISSING = [n for n in ("timm", "torchvision", "transformers") if find_spec(n) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed; make test installs it"),
]

NETWORKS = [
    "timm/resnet18",
    "timm/ghostnet_050",
    "timm/mobilenetv3_small_050",
    "timm/edgenext_xx_small",
    "timm/levit_128s",
    "timm/vit_tiny_patch16_224",
    "timm/skresnet18",
    "torchvision/squeezenet1_1",
    "torchvision/shufflenet_v2_x0_5",
    "transformers/bert",
    "transformers/deberta",
    "transformers/gpt2",
    "transformers/gpt-neox",
    "transformers/llama",
    "transformers/mistral",
    "transformers/mixtral",
    "transformers/mamba",
    "transformers/t5",
    "transformers/phi3",
    "transformers/vit",
    "transformers/swinv2",
    "transformers/wav2vec2",
]
# Chunks of equal size are written into its forward.
REBUILT = {"torchvision/shufflenet_v2_x0_5"}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_converts_round_trips_swaps_and_prunes(name: str) -> None:
    from benchmarks.coverage.worker import ours

    record: dict[str, Any] = {}
    ours(name, record)
    for check in ("converted", "round_trip", "swap", "pruned"):
        assert record[check], (check, record)
    assert record["keeps_class"] == (name not in REBUILT)
    assert record["params_after"] < 0.6 * record["params"]
