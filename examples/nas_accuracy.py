"""Predicts the accuracy of NAS-Bench-201 cells from their operator graphs: SSWL beside a plain GNN.

    python examples/nas_accuracy.py ../shared/data/nasbench201

The argument is the folder of `nb201.npz`. Both networks see the same few cells with their validation accuracy
on CIFAR-10, and are asked for the order of all others (Kendall's tau).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import kendalltau
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINEConv, global_mean_pool

from netgraph.subgraph import SubgraphRegressor

KINDS = ("input", "sum", "output", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
FROM = (0, 0, 1, 0, 1, 2)
TO = (1, 2, 2, 3, 3, 3)
NONE = 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/nasbench201"))
    parser.add_argument("--cells", type=int, default=156, help="cells to train on (1 % of all)")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--held-out", type=int, default=2000, help="cells to rank; 0 for all others")
    options = parser.parse_args(argv)
    if not (options.folder / "nb201.npz").is_file():
        print(f"nas_accuracy: there is no nb201.npz in {str(options.folder)!r}; nothing to do")
        return 0
    graphs, accuracy = read_cells(options.folder / "nb201.npz")
    order = np.random.default_rng(0).permutation(len(graphs))
    train, test = order[: options.cells], order[options.cells :][: options.held_out or None]
    for name, fit in (("SSWL", sswl), ("GIN", gin)):
        predicted, parameters = fit(
            [graphs[i] for i in train], accuracy[train], [graphs[i] for i in test], options.epochs, seed=0
        )
        tau = kendalltau(predicted, accuracy[test]).statistic
        print(f"{name}: Kendall's tau {tau:.3f} on {len(test):,} cells, {parameters:,} parameters")
    return 0


def read_cells(path: Path) -> tuple[list[Data], npt.NDArray[np.float64]]:
    """The operator graph of each cell, and its validation accuracy on CIFAR-10, mean over seeds."""
    with np.load(path, allow_pickle=False) as stored:
        operators, accuracy = stored["ops"].tolist(), stored["c10_val_acc_seeds"]
    return [cell_graph(cell) for cell in operators], np.nanmean(accuracy, 1)


def cell_graph(cell: list[int]) -> Data:
    """A node for each feature map and each operator of a cell; operators of kind `none` are left out.

    An edge joins an operator with the map that it reads (category 0) or adds to (category 1): so the
    direction of the data is in the graph, though its edges have none.
    """
    kinds, edges, roles = [0, 1, 1, 2], [], []
    for operator, source, target in zip(cell, FROM, TO, strict=True):
        if operator != NONE:
            edges += [(source, len(kinds)), (len(kinds), target)]
            roles += [0, 1]
            kinds.append(2 + operator)
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    role = torch.tensor(roles, dtype=torch.int64)
    return Data(
        x=torch.tensor(kinds),
        edge_index=torch.cat((index, index.flip(0)), 1),
        edge_attr=torch.cat((role, role)),
        num_nodes=len(kinds),
    )


Fitted = tuple[npt.NDArray[np.float64], int]


def sswl(train: list[Data], y: npt.NDArray[np.float64], test: list[Data], epochs: int, seed: int) -> Fitted:
    """Predictions for the test graphs, and the number of parameters."""
    regressor = SubgraphRegressor(
        "SSWL",
        hidden_channels=32,
        num_layers=4,
        epochs=epochs,
        lr=3e-3,
        validation_fraction=0,
        random_state=seed,
    ).fit(train, y)
    return regressor.predict(test), sum(p.numel() for p in regressor.network_.parameters())


class Gin(nn.Module):
    """A GIN with features of edges, a batch norm in each layer, and the head of a subgraph network."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.nodes, self.edges = nn.Embedding(len(KINDS), hidden), nn.Embedding(2, hidden)
        self.convs = nn.ModuleList(GINEConv(self._mlp(hidden), train_eps=True) for _ in range(layers))
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(layers))
        self.head = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, 1))

    @staticmethod
    def _mlp(hidden: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )

    def forward(self, batch: Data) -> Tensor:
        h, edge = self.nodes(batch.x), self.edges(batch.edge_attr)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = norm(conv(h, batch.edge_index, edge)).relu()
        return self.head(global_mean_pool(h, batch.batch)).squeeze(1)


def gin(train: list[Data], y: npt.NDArray[np.float64], test: list[Data], epochs: int, seed: int) -> Fitted:
    """The same for the GIN, with the same depth, batches, schedule and loss, and no fewer parameters."""
    torch.manual_seed(seed)
    network = Gin(hidden=48, layers=4)
    mean, deviation = float(y.mean()), float(y.std())
    examples = [d.clone() for d in train]
    for data, target in zip(examples, (y - mean) / deviation, strict=True):
        data.target = torch.tensor([target], dtype=torch.float32)
    loader = DataLoader(examples, 32, shuffle=True)
    optimiser = torch.optim.Adam(network.parameters())
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 3e-3, epochs=epochs, steps_per_epoch=len(loader), pct_start=0.1, cycle_momentum=False
    )
    for _ in range(epochs):
        for batch in loader:
            optimiser.zero_grad()
            nn.functional.l1_loss(network(batch), batch.target).backward()
            optimiser.step()
            cycle.step()
    network.eval()
    with torch.no_grad():
        found = torch.cat([network(batch) for batch in DataLoader(test, 1024)]).double().numpy()
    return mean + deviation * found, sum(p.numel() for p in network.parameters())


if __name__ == "__main__":
    sys.exit(main())
