"""Predicts which skip connections a network has, from its operator graph and some of them.

    python examples/skip_connections.py [--networks 60] [--epochs 20] [--seed 0]

Small networks, some from `netgraph.zoo` and most drawn by chance, are traced into operator graphs. In each,
an addition that puts an earlier value onto a later one is taken out and becomes a link, from where that value
was made to what it is added to. Half of the links stay visible, the other half is asked for. Link predictors
learn on some networks and are then asked about others, which they never saw. Every pair of an earlier and a
later operator whose outputs have one shape is a candidate, so shapes alone give nothing away.

Good for: seeing what a family of architectures does by habit (at which operators its shortcuts start and end,
and how far apart), checking whether a network keeps to the habits of its family, proposals for a search that
edits operator graphs, and a small test of inductive link prediction.

Not good for: knowing whether a skip connection is of any use. Nothing here was trained on data or measured
for accuracy; a link that scores high is usual, not better. The drawn networks follow three simple styles and
lack three connections in ten by chance. Nobody can tell such a block from one whose connection is hidden, so
that no method reaches 1; and there are so few links that differences below about 0.05 mean little. Shortcuts
that change the shape, and concatenations, are not asked for.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.convert.operator_exchange import OPERATOR_KINDS, kind_categories
from netgraph.graph.operators import OperatorGraph, operator_graph
from netgraph.linkpred import LinkGraph, LinkNet
from netgraph.linkpred.encoders import make_encoder
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.heuristics import score_pairs
from netgraph.linkpred.nbfnet import NBFNet
from netgraph.linkpred.ncn import NCN
from netgraph.linkpred.ranking import average_precision, ranks, roc_auc
from netgraph.zoo import CifarResNet, DigitsResNet, MobileNet, ViT

# Relations: the kind of operator that data flows into, the same backwards, a visible skip, that backwards.
FLOW = len(OPERATOR_KINDS)
SKIP = 2 * FLOW
RELATIONS = 2 * FLOW + 2


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    draw = random.Random(options.seed)

    started = time.perf_counter()
    made = architectures(options.networks, draw)
    chains = [read(operator_graph(to_graph(net.eval(), x), contract=True)) for net, x in made]
    chains = [c for c in chains if len(c.links) > 1]
    draw.shuffle(chains)
    held_out = len(chains) // 3
    test, train = chains[:held_out], chains[held_out:]
    candidates = sum(len(c.candidates) for c in test)
    print(
        f"{len(train)} networks to learn from, {len(test)} to be asked about: "
        f"{sum(len(c.links) for c in test)} skip connections among {candidates:,} candidates "
        f"({time.perf_counter() - started:.0f} s to trace all)\n"
    )
    questions = [ask(c, draw) for c in test for _ in range(3)]  # three choices of what is hidden
    print(f"{'':28}{'AUC':>7}{'AP':>7}{'MRR':>7}{'H@1':>7}{'H@5':>7}{'seconds':>9}")
    for name, make in methods(train, options.epochs, options.seed).items():
        started = time.perf_counter()
        score = make()
        report(name, score, questions, time.perf_counter() - started)
    return 0


@dataclass(frozen=True)
class Chain:
    """A network without its residual sums.

    Attributes:
        kinds: category of each operator.
        x: features of each operator, `(N, F)`.
        flow: data from operator to operator.
        links: skip connections, from where a value was made to what it is added to.
        candidates: all pairs that could be one, links among them.
        steps: of each candidate, operators on the shortest way from one to the other.
    """

    kinds: tuple[int, ...]
    x: Tensor
    flow: tuple[tuple[int, int], ...]
    links: tuple[tuple[int, int], ...]
    candidates: tuple[tuple[int, int], ...]
    steps: dict[tuple[int, int], int] = field(default_factory=dict)

    def graph(self, visible: Sequence[tuple[int, int]]) -> LinkGraph:
        """The operators with their data flow and the visible skip connections, in both directions."""
        edges = [(u, v, self.kinds[v]) for u, v in self.flow] + [(u, v, SKIP) for u, v in visible]
        source, target, kind = torch.tensor(edges).T
        back = torch.where(kind == SKIP, SKIP + 1, kind + FLOW)
        return LinkGraph.from_edges(
            torch.stack((torch.cat((source, target)), torch.cat((target, source)))),
            len(self.kinds),
            relation=torch.cat((kind, back)),
            num_relations=RELATIONS,
            x=self.x,
            undirected=False,
        )


@dataclass(frozen=True)
class Question:
    """A network some of whose skip connections are hidden, and the false candidates beside them."""

    chain: Chain
    graph: LinkGraph
    hidden: tuple[tuple[int, int], ...]
    false: tuple[tuple[int, int], ...]

    @property
    def pairs(self) -> Tensor:
        """What is hidden and then what is false, `(2, P)`."""
        return torch.tensor(self.hidden + self.false).T


Score = Callable[[Question], tuple[Tensor, Tensor]]
"""Scores of what is hidden, and of what is false."""


def ask(chain: Chain, draw: random.Random) -> Question:
    """Hide half of the skip connections, at least one."""
    links = draw.sample(chain.links, len(chain.links))
    hidden = tuple(links[: (len(links) + 1) // 2])
    visible = links[len(hidden) :]
    false = tuple(c for c in chain.candidates if c not in chain.links)
    return Question(chain, chain.graph(visible), hidden, false)


# Networks -------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Two stages of blocks in one of three styles; each block has a skip connection with a chance of 0.7."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self.style = draw.choice(("after", "before", "linear"))  # ResNet, pre-activation, MobileNetV2
        span, width, blocks = draw.choice((1, 2, 2, 3)), draw.choice((4, 6, 8)), draw.choice((3, 4))
        self.stem = unit(3, width, 1)
        self.stages = nn.ModuleList()
        for stage in range(2):
            planes = width * 2**stage
            self.stages.append(unit(width, planes, 2) if stage else nn.Identity())
            for _ in range(blocks):
                self.stages.append(nn.ModuleList(self.layer(planes, i, span, draw) for i in range(span)))
        self.skips = [draw.random() < 0.7 for _ in self.stages]
        self.head = nn.Linear(2 * width, 10)

    def layer(self, planes: int, place: int, span: int, draw: random.Random) -> nn.Sequential:
        groups = planes if self.style == "linear" and place == 1 else 1
        conv = nn.Conv2d(planes, planes, draw.choice((1, 3)), padding="same", groups=groups, bias=False)
        norm = nn.BatchNorm2d(planes)
        if self.style == "before":
            return nn.Sequential(norm, nn.ReLU(), conv)
        last = place == span - 1
        return nn.Sequential(conv, norm, *([] if last else [nn.ReLU()]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for part, skip in zip(self.stages, self.skips, strict=True):
            if not isinstance(part, nn.ModuleList):
                x = part(x)
                continue
            y = x
            for layer in part:
                y = layer(y)
            x = y + x if skip else y
            x = x.relu() if self.style == "after" else x
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def unit(given: int, planes: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(given, planes, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(planes), nn.ReLU())


def architectures(count: int, draw: random.Random) -> list[tuple[nn.Module, Tensor]]:
    """Networks and what they are traced with: a few that people use, the others by chance."""
    grey, colour = torch.zeros(2, 1, 8, 8), torch.zeros(2, 3, 8, 8)
    known: list[tuple[nn.Module, Tensor]] = [
        (CifarResNet(2, widths=(4, 6, 8)), colour),
        (CifarResNet(3, widths=(4, 8, 12), shortcut="conv"), colour),
        (DigitsResNet(4, (3, 2)), grey),
        (MobileNet(4, (3, 3)), grey),
        (MobileNet(6, (2, 3), expansion=2), grey),
        (ViT(), grey),
    ][:count]
    return known + [(Residual(draw), colour) for _ in range(count - len(known))]


# From operator graphs to links ----------------------------------------------------------------------------


def read(operators: OperatorGraph) -> Chain:
    """Take the residual sums out of an operator graph: who read a sum now reads its later operand."""
    before = [0] * operators.num_nodes  # sets of ancestors, as bits
    operands: dict[int, list[int]] = {}
    for edge in operators.edges:
        before[edge.target] |= before[edge.source] | 1 << edge.source
        operands.setdefault(edge.target, []).append(edge.source)
    instead: dict[int, int] = {}
    skips = []
    for node, kind in enumerate(operators.kinds):
        if (
            kind == "add"
            and len(pair := sorted(set(operands.get(node, [])))) == 2
            and before[pair[1]] >> pair[0] & 1
        ):
            instead[node] = pair[1]
            skips.append((pair[0], pair[1]))

    def resolve(node: int) -> int:
        while node in instead:
            node = instead[node]
        return node

    left = [n for n in range(operators.num_nodes) if n not in instead]
    number = {n: i for i, n in enumerate(left)}
    flow = sorted(
        {(number[resolve(e.source)], number[e.target]) for e in operators.edges if e.target in number}
    )
    links = tuple(sorted({(number[resolve(u)], number[resolve(v)]) for u, v in skips}))
    steps = distances(len(left), flow)
    shape = [operators.features[n][1:4] for n in left]
    candidates = tuple(
        (u, v) for (u, v), d in sorted(steps.items()) if shape[u] == shape[v] and (d > 1 or (u, v) in links)
    )
    kinds = tuple(kind_categories([operators.kinds[n] for n in left]))
    place = torch.arange(len(left)) / len(left)
    waves = [torch.sin(place * f) for f in (1, 3, 9, 27)]
    x = torch.cat(
        (F.one_hot(torch.tensor(kinds), FLOW), operators.x[left].log1p() / 8, torch.stack(waves, 1)), 1
    ).float()
    return Chain(kinds, x, tuple(flow), links, candidates, steps)


def distances(nodes: int, flow: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Steps from each operator to each later one that its data reaches."""
    found: dict[tuple[int, int], int] = {}
    readers: list[list[int]] = [[] for _ in range(nodes)]
    for u, v in flow:
        readers[u].append(v)
    for start in range(nodes):
        ring, step = [start], 0
        while ring:
            step += 1
            ring = [v for v in dict.fromkeys(v for u in ring for v in readers[u]) if (start, v) not in found]
            found.update({(start, v): step for v in ring})
    return found


# Methods --------------------------------------------------------------------------------------------------


def methods(train: Sequence[Chain], epochs: int, seed: int) -> dict[str, Callable[[], Score]]:
    features = train[0].x.size(1)

    def network(make: Callable[[], LinkNet]) -> Callable[[], Score]:
        def fitted() -> Score:
            torch.manual_seed(seed)
            return fit(make(), train, epochs, random.Random(seed))

        return fitted

    return {
        "random guess": lambda: by_rule(lambda q, pair: random.Random(f"{seed} {pair}").random()),
        "shortest path": lambda: heuristic("shortest_path"),
        "common neighbours": lambda: heuristic("common_neighbours"),
        "Katz": lambda: heuristic("katz"),
        "habit: distance": lambda: habit(train, lambda c, u, v: (c.steps[u, v],)),
        "habit: distance and kinds": lambda: habit(
            train, lambda c, u, v: (c.steps[u, v], c.kinds[u], c.kinds[v])
        ),
        "GAE (SAGE)": network(lambda: DotProduct(make_encoder("sage", features, 32, 3), decoder="hadamard")),
        "NCN (SAGE)": network(lambda: NCN(make_encoder("sage", features, 32, 3))),
        "NBFNet": network(lambda: NBFNet(RELATIONS, 16, 9, aggregate="sum", conditioned=False)),
    }


def by_rule(rule: Callable[[Question, tuple[int, int]], float]) -> Score:
    return lambda q: (
        torch.tensor([float(rule(q, p)) for p in q.hidden]),
        torch.tensor([float(rule(q, p)) for p in q.false]),
    )


def heuristic(name: str) -> Score:
    def score(question: Question) -> tuple[Tensor, Tensor]:
        found = score_pairs(name, question.graph, question.pairs)
        return found[: len(question.hidden)], found[len(question.hidden) :]

    return score


def habit(train: Sequence[Chain], key: Callable[[Chain, int, int], tuple[int, ...]]) -> Score:
    """Which share of the candidates that look alike is a skip connection in the networks to learn from."""
    seen = Counter(key(c, u, v) for c in train for u, v in c.candidates)
    linked = Counter(key(c, u, v) for c in train for u, v in c.links)
    return by_rule(lambda q, p: (linked[key(q.chain, *p)] + 0.01) / (seen[key(q.chain, *p)] + 1))


def fit(net: LinkNet, train: Sequence[Chain], epochs: int, draw: random.Random) -> Score:
    """Learn on one network after another, each time with other skip connections hidden.

    The loss is that of choosing a hidden connection among all false candidates of its network."""
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    net.train()
    for _ in range(epochs):
        for chain in draw.sample(train, len(train)):
            question = ask(chain, draw)
            positive, negative = scores(net, question)
            loss = (torch.logaddexp(positive, negative.logsumexp(0)) - positive).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    net.eval()

    @torch.no_grad()
    def score(question: Question) -> tuple[Tensor, Tensor]:
        return scores(net, question)

    return score


def scores(net: LinkNet, question: Question) -> tuple[Tensor, Tensor]:
    pairs = question.pairs
    found = net(question.graph, pairs, torch.full((pairs.size(1),), SKIP))
    return found[: len(question.hidden)], found[len(question.hidden) :]


def report(name: str, score: Score, questions: Sequence[Question], seconds: float) -> None:
    """Each hidden link is ranked among the false candidates of its network; ties count half."""
    found = [score(q) for q in questions]
    rank = torch.cat([ranks(p, n) for p, n in found])
    auc = torch.tensor([roc_auc(p, n) for p, n in found]).mean()
    ap = torch.tensor([average_precision(p, n) for p, n in found]).mean()
    numbers = [auc, ap, rank.reciprocal().mean(), (rank <= 1).double().mean(), (rank <= 5).double().mean()]
    print(f"{name:28}" + "".join(f"{float(n):7.3f}" for n in numbers) + f"{seconds:9.1f}")


if __name__ == "__main__":
    raise SystemExit(main())
