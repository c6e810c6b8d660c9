"""PyTorch's DeepFM on MovieLens-1M, one pass, predict then train: prints one line of JSON.

    python torch_deepfm.py DATA BATCH

The network, features, initial values and optimizer are those of Config/cluster.yaml with micro-batches as large as batches: dimension 16,
layers [64, 32], sparse Adagrad on embeddings, dense Adagrad on the rest. The rates are the best that were found for each size.
"""

import sys
import time

import numpy as np
import torch

from movielens import ratings_in_order, report, rows

LAYERS = (64, 32)
DIMENSION = 16


def load(directory):
    """Ids by slot (N × 7), genre weights (N × genres), labels, in the order of time; how many ids there are."""
    codes = {}

    def code(slot, value):
        return codes.setdefault((slot, value), len(codes))

    users = {u: [code("gender", g), code("age", a), code("occupation", o), code("zip", z[:2])]
             for u, g, a, o, z in rows(directory, "users.dat")}
    genres = {}
    movies = {}
    for parts in rows(directory, "movies.dat"):
        kinds = [genres.setdefault(kind, len(genres)) for kind in parts[-1].split("|")]
        movies[parts[0]] = (code("year", parts[-2].rsplit("(", 1)[1][:4]), kinds)
    ratings = ratings_in_order(directory)
    ids = np.array([[code("user", u), code("movie", m), *users[u], movies[m][0]] for u, m, _, _ in ratings])
    weights = np.zeros((len(ratings), len(genres)), dtype=np.float32)
    for row, (_, movie, _, _) in enumerate(ratings):
        kinds = movies[movie][1]
        weights[row, kinds] = 1 / len(kinds)
    labels = np.array([float(int(value) >= 4) for _, _, value, _ in ratings], dtype=np.float32)
    return torch.from_numpy(ids), torch.from_numpy(weights), torch.from_numpy(labels), len(codes)


class DeepFM(torch.nn.Module):
    def __init__(self, rows, genres, deviation):
        super().__init__()
        self.rows = torch.nn.Embedding(rows, DIMENSION + 1, sparse=True)
        self.genres = torch.nn.Parameter(torch.randn(genres, DIMENSION + 1) * deviation)
        torch.nn.init.normal_(self.rows.weight, 0, deviation)
        with torch.no_grad():
            self.rows.weight[:, DIMENSION] = 0
            self.genres[:, DIMENSION] = 0
        layers, width = [], 8 * DIMENSION
        for hidden in LAYERS:
            layers += [torch.nn.Linear(width, hidden), torch.nn.ReLU()]
            width = hidden
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))

    def forward(self, ids, weights):
        slots = torch.cat([self.rows(ids), (weights @ self.genres).unsqueeze(1)], 1)
        vectors, linear = slots[:, :, :DIMENSION], slots[:, :, DIMENSION].sum(1)
        sums = vectors.sum(1)
        interactions = 0.5 * (sums * sums - (vectors * vectors).sum(1)).sum(1)
        return linear + interactions + self.layers(vectors.flatten(1)).squeeze(1)


def main():
    directory, batch = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    ids, weights, labels, rows = load(directory)
    model = DeepFM(rows, weights.shape[1], 0.003)
    optimizers = [
        torch.optim.Adagrad(model.rows.parameters(), lr=0.08),
        torch.optim.Adagrad([{"params": [model.genres], "lr": 0.08}, {"params": model.layers.parameters(), "lr": 0.03}]),
    ]
    loss_of = torch.nn.BCEWithLogitsLoss()
    logits = torch.empty(len(labels))
    began = time.process_time()
    for first in range(0, len(labels), batch):
        end = min(len(labels), first + batch)
        predicted = model(ids[first:end], weights[first:end])
        logits[first:end] = predicted.detach()
        loss = loss_of(predicted, labels[first:end])
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    seconds = time.process_time() - began
    report(logits.numpy(), labels.numpy(), seconds)


if __name__ == "__main__":
    main()
