"""Files of triples and pairs: endings, line ends, policies, and what is refused."""

from pathlib import Path

import pytest

from netgraph.errors import InterchangeError, UsageError
from netgraph.linkpred.triple_files import read_edge_list, read_triples, read_triples_folder
from netgraph.linkpred.triples import Triples

FOLDERS = {
    "WN18RR": (40943, 11, [86835, 3034, 3134], [210, 210]),
    "umls": (135, 46, [5216, 652, 661], [0, 0]),
}


def written(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_bytes(text.encode())
    return folder


def test_a_file(tmp_path: Path) -> None:
    names = "\ufeffnew york\tis in\tthe us\r\n\r\n the us \tis a\tstate\r\nnew york\tis in\tthe us\r\n"
    path = written(tmp_path, facts__tsv=names) / "facts.tsv"
    triples = read_triples(path)
    assert triples.entities == ("new york", "the us", "state") and triples.relations == ("is in", "is a")
    assert triples.pairs.tolist() == [[0, 1], [1, 2]] and triples.duplicates == 1
    blanks = written(tmp_path, blanks__txt="a r b\nb  r   c") / "blanks.txt"
    assert read_triples(str(blanks)).entities == ("a", "b", "c")
    odd = written(tmp_path, odd__txt="a\u2028x\tr\tb\x85") / "odd.txt"
    assert read_triples(odd).entities[0] == "a\u2028x"
    assert len(read_triples(path, entities=("the us", "state"), unseen="drop")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tr\tb\na\tr\n", "3 names in each line, got 2 in line 2 of"),
        ("a\tr\tb\tc\n", "got 4 in line 1"),
        ("a\t\tb\n", "got 2 in line 1"),
        ("a,r,b\n", "got 1 in line 1"),
    ],
)
def test_lines_that_are_no_triples(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, facts__txt=text) / "facts.txt"
    with pytest.raises(InterchangeError, match=words):
        read_triples(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="read_triples: expected a file, got"):
        read_triples(tmp_path / "nothing.txt")
    (tmp_path / "latin.txt").write_bytes("é\tr\tb".encode("latin-1"))
    with pytest.raises(InterchangeError, match="text in UTF-8"):
        read_triples(tmp_path / "latin.txt")


@pytest.mark.parametrize(
    "names",
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("train.tsv", "dev.tsv", "test.txt"),
        ("train", "val.txt", "test"),
    ],
)
def test_a_folder(tmp_path: Path, names: tuple[str, str, str]) -> None:
    texts = "a\tr\tb\nb\ts\tc\n", "a\ts\tb\n", "c\tr\ta\n"
    for name, text in zip(names, texts, strict=True):
        (tmp_path / name).write_text(text)
    folder = read_triples_folder(tmp_path)
    assert [len(part) for part in (folder.train, folder.valid, folder.test)] == [2, 1, 1]
    for part in (folder.train, folder.valid, folder.test):
        assert part.entities == ("a", "b", "c") and part.relations == ("r", "s")
    assert folder.valid.pairs.tolist() == [[0], [1]] and folder.valid.relation.tolist() == [1]


def test_unseen_names_of_a_folder(tmp_path: Path) -> None:
    written(tmp_path, train__txt="a\tr\tb\n", valid__txt="a\tr\tc\nb\tr\ta\n", test__txt="d\tr\tc\na\tq\tb\n")
    with pytest.raises(InterchangeError, match="the entity 'c'"):
        read_triples_folder(tmp_path)
    dropped = read_triples_folder(tmp_path, unseen="drop")
    assert [t.unseen for t in (dropped.train, dropped.valid, dropped.test)] == [0, 1, 2]
    assert dropped.train.entities == ("a", "b") and len(dropped.valid) == 1 and len(dropped.test) == 0
    kept = read_triples_folder(tmp_path, unseen="keep")
    for part in (kept.train, kept.valid, kept.test):
        assert part.entities == ("a", "b", "c", "d") and part.relations == ("r", "q")
    assert kept.train.relation_counts.tolist() == [1, 0]


def test_an_inference_folder_keeps_the_relations(tmp_path: Path) -> None:
    folder = written(tmp_path, train__txt="x\ts\ty\n", valid__txt="y\ts\tx\n", test__txt="x\tr\ty\n")
    found = read_triples_folder(folder, relations=("r", "s"))
    assert found.train.relations == ("r", "s") and found.train.relation.tolist() == [1]
    with pytest.raises(InterchangeError, match="the relation 's'"):
        read_triples_folder(folder, relations=("r",))
    with pytest.raises(InterchangeError, match="training triples, got none"):
        read_triples_folder(folder, relations=("q",), unseen="drop")


def test_folders_that_lack_a_file(tmp_path: Path) -> None:
    written(tmp_path, train__txt="a\tr\tb\n", test__txt="a\tr\tb\n")
    with pytest.raises(UsageError, match=r"expected valid.txt or valid.tsv in .*\['test.txt', 'train.txt'\]"):
        read_triples_folder(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        read_triples_folder(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["a b\n# no\n\nb c\na b\n", "a\tb\nb\tc\r\na\tb", "a,b\nb, c\na,b\n%\n"])
def test_an_edge_list(tmp_path: Path, text: str) -> None:
    pairs, names = read_edge_list(written(tmp_path, edges__txt=text) / "edges.txt")
    assert pairs.tolist() == [[0, 1, 0], [1, 2, 1]] and names == ("a", "b", "c")


def test_edge_lists_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InterchangeError, match="2 names in each line, got 3 in line 1"):
        read_edge_list(written(tmp_path, edges__txt="a b c\n") / "edges.txt")
    pairs, names = read_edge_list(written(tmp_path, edges__txt="# nothing\n") / "edges.txt")
    assert pairs.shape == (2, 0) and names == ()


@pytest.mark.parametrize("name", FOLDERS)
def test_published_folders(shared_data: Path, name: str) -> None:
    entities, relations, sizes, unseen = FOLDERS[name]
    kept = read_triples_folder(shared_data / "kg" / name, unseen="keep")
    assert (kept.train.num_entities, kept.train.num_relations) == (entities, relations)
    assert [len(part) for part in (kept.train, kept.valid, kept.test)] == sizes
    dropped = read_triples_folder(shared_data / "kg" / name, unseen="drop")
    assert [dropped.valid.unseen, dropped.test.unseen] == unseen


def test_a_published_inductive_folder(shared_data: Path) -> None:
    folder = read_triples_folder(shared_data / "kg" / "grail_fb237_v1")
    other = read_triples_folder(
        shared_data / "kg" / "grail_fb237_v1_ind", relations=folder.train.relations, unseen="keep"
    )
    assert (folder.train.num_entities, other.train.num_entities) == (1594, 1093)
    assert not set(folder.train.entities) & set(other.train.entities)
    assert isinstance(other.test, Triples) and len(other.test) == 205
