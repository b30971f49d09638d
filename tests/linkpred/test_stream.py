"""Scores on disk: in order, complete or not there, resumed after a stop, refused if they belong elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.predictor import LinkPredictor
from netgraph.linkpred.stream import stream_scores
from netgraph.linkpred.triples import Triples

SMALL = {"options": {"encoder": {"hidden": 8, "embedding": 0}}, "epochs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def predictor() -> LinkPredictor:
    return LinkPredictor("ncn", **SMALL).fit(nx.karate_club_graph())


def pieces(count: int = 5) -> list[Tensor]:
    chance = torch.Generator().manual_seed(0)
    return [torch.randint(34, (2, 3 + i), generator=chance) for i in range(count)]


def stopping(after: int) -> Iterator[Tensor]:
    yield from pieces()[:after]
    raise MemoryError


def test_scores_are_those_of_predict(predictor: LinkPredictor, tmp_path: Path) -> None:
    path = stream_scores(predictor, pieces(), tmp_path / "new" / "scores.npy")
    found = np.load(path, mmap_mode="r")
    assert found.dtype == np.float32 and found.shape == (25,)
    expected = predictor.predict(torch.cat(pieces(), dim=1))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6)
    assert [p.name for p in path.parent.iterdir()] == ["scores.npy"]
    assert np.load(stream_scores(predictor, [], tmp_path / "none.npy")).shape == (0,)


def test_a_stop_leaves_no_file_and_the_next_call_goes_on(
    predictor: LinkPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.npy"
    with pytest.raises(MemoryError):
        stream_scores(predictor, stopping(3), path)
    assert not path.exists()
    with open(f"{path}.part", "ab") as file:
        file.write(b"half a piece")
    asked = []
    predict = LinkPredictor.predict
    monkeypatch.setattr(LinkPredictor, "predict", lambda self, p: asked.append(p) or predict(self, p))
    stream_scores(predictor, iter(pieces()), path)
    assert [p.size(1) for p in asked] == [6, 7]
    whole = np.load(stream_scores(predictor, pieces(), tmp_path / "whole.npy"))
    np.testing.assert_array_equal(np.load(path), whole)


def test_what_was_begun_with_others(predictor: LinkPredictor, tmp_path: Path) -> None:
    path = tmp_path / "scores.npy"

    def begin() -> None:
        with pytest.raises(MemoryError):
            stream_scores(predictor, stopping(3), path, resume=False)

    begin()
    with pytest.raises(UsageError, match="others in the first 3 pieces"):
        stream_scores(predictor, [pieces()[0], *pieces()[2:]], path)
    with pytest.raises(UsageError, match="got 2 of 3 pieces"):
        stream_scores(predictor, pieces()[:2], path)
    other = LinkPredictor("ncn", **(SMALL | {"random_state": 1})).fit(nx.karate_club_graph())
    with pytest.raises(UsageError, match=r"the predictor that .* was begun with, got another"):
        stream_scores(other, pieces(), path)
    assert np.load(stream_scores(other, pieces(), path, resume=False)).shape == (25,)
    begin()
    Path(f"{path}.part.json").write_text("{")
    assert np.load(stream_scores(predictor, pieces(), path)).shape == (25,)


def test_relations(tmp_path: Path) -> None:
    facts = Triples.of([(f"p{i}", "knows", f"p{(i + 1) % 9}") for i in range(9)])
    typed = LinkPredictor("nbfnet", options={"dim": 4, "layers": 1}, epochs=1, valid=0.0).fit(facts)
    pairs, kind = torch.tensor([[0, 3], [1, 5]]), torch.tensor([0, 1])
    found = np.load(stream_scores(typed, [(pairs, kind), (pairs, kind)], tmp_path / "s.npy"))
    np.testing.assert_allclose(found, typed.predict(pairs, kind).repeat(2).numpy(), rtol=1e-5)


def test_bad_pairs_and_bad_places(predictor: LinkPredictor, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nodes from 0 to 33, got 34"):
        stream_scores(predictor, [torch.tensor([[34], [0]])], tmp_path / "scores.npy")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="a file that can be written"):
        stream_scores(predictor, pieces(), tmp_path / "file" / "scores.npy")
