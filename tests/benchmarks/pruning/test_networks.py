"""The networks of the table, and metanetworks of any class."""

from pathlib import Path

import pytest
import torch

from benchmarks.pruning import networks
from benchmarks.pruning.networks import fingerprint, load_metanetwork, load_network
from netgraph.errors import HubError
from netgraph.hub import load_model
from netgraph.nn import Metanetwork, MetanetworkConfig


def test_the_shipped_network_in_its_own_class() -> None:
    images = torch.rand(3, 1, 8, 8)
    network = load_network("digits-resnet", Path("nowhere"))
    torch.testing.assert_close(network(images), load_model("digits-resnet")(images))


@pytest.mark.parametrize("name", networks.CIFAR)
def test_the_trained_networks_load(name: str, shared_data: Path) -> None:
    network = load_network(name, shared_data)
    assert not network.training and network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_a_metanetwork_is_read_by_the_class_that_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        @classmethod
        def from_pretrained(cls, folder: str) -> "Other":
            if folder != "other":
                raise HubError("not mine")
            return cls()

    monkeypatch.setattr(networks.metanetworks, "FactorisedMetanetwork", Other, raising=False)
    meta = Metanetwork(MetanetworkConfig(hidden=4, layers=1))
    meta.save_pretrained(tmp_path)
    assert isinstance(load_metanetwork(str(tmp_path)), Metanetwork)
    assert isinstance(load_metanetwork("other"), Other)
    with pytest.raises(HubError, match="no metanetwork 'absent'"):
        load_metanetwork("absent")
    before = fingerprint(str(tmp_path))
    Metanetwork(MetanetworkConfig(hidden=4, layers=1)).save_pretrained(tmp_path)
    assert fingerprint(str(tmp_path)) != before
