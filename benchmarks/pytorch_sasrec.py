"""The smallest SASRec in PyTorch, of the size and the work of ours, for `make bench-train`; needs nothing of the project.

One item a position, pre-norm blocks, PyTorch's fused attention and Adam, a sampled softmax over items that all positions
of a step share. It has all rows in memory, decoded and padded: reading costs it nothing.

    python benchmarks/pytorch_sasrec.py DATA.npz '{"width": 64, …}'        one epoch for each line of its input
"""

# ruff: noqa: E402 - how libraries are loaded is said before there are any

import json
import math
import os
import sys
import time

sys.setdlopenflags(os.RTLD_LAZY)  # of the CUDA functions that are looked up none is there, nor ever called

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as f


class Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:  # (batch, length, width)
        split = self.query_key_value(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (batch, heads, length, head width)
        # Rows are padded on the right: what looks back only never sees it.
        mixed = f.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout, is_causal=True)
        x = x + f.dropout(self.out(mixed.transpose(1, 2).flatten(2)), self.dropout)
        return x + f.dropout(self.narrow(f.gelu(self.widen(self.norm_forward(x)))), self.dropout)


class SasRec(nn.Module):
    def __init__(
        self, items: int, length: int, width: int, blocks: int, heads: int, dropout: float, negatives: int
    ):
        super().__init__()
        self.dropout, self.negatives = dropout, negatives
        self.vectors, self.bias = nn.Embedding(items, width), nn.Parameter(torch.zeros(items))
        nn.init.normal_(self.vectors.weight, std=width**-0.5)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def loss(self, items: Tensor, rate: Tensor) -> Tensor:
        """(batch, length), (items,) how often each is drawn -> the mean over targets."""
        vectors = self.vectors(items)  # (batch, length, width)
        x = f.dropout(vectors + self.places, self.dropout)
        for block in self.blocks:
            x = block(x)
        hidden, targets, wanted = self.norm(x)[:, :-1], items[:, 1:], items[:, 1:] > 0
        sample = torch.multinomial(rate, self.negatives)  # (negatives,)
        logits = hidden @ self.vectors(sample).T + (self.bias[sample] - torch.log(rate[sample]))
        logits = logits.masked_fill(targets[:, :, None] == sample, -1e9)  # (batch, length - 1, negatives)
        own = (hidden * vectors[:, 1:]).sum(-1) + self.bias[targets]
        losses = f.softplus(torch.logsumexp(logits, -1) - own)
        return (losses * wanted).sum() / wanted.sum()


def main(path: str, shape: dict) -> None:
    torch.set_num_threads(shape.pop("threads"))
    batch_size = shape.pop("batch_size")
    torch.manual_seed(7)
    with np.load(path) as data:
        rows = torch.from_numpy(data["items"]).long()  # (rows, length)
        counts = torch.from_numpy(data["counts"]).float()  # (items,)
    rate = counts**0.75 * shape["negatives"] / (counts**0.75).sum()
    model = SasRec(items=len(counts), length=rows.shape[1], **shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, fused=True)

    def epoch() -> float:
        total = 0.0
        order = torch.randperm(len(rows))
        for part in order.split(batch_size):
            optimizer.zero_grad()
            loss = model.loss(rows[part], rate)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        return total / math.ceil(len(rows) / batch_size)

    for _ in sys.stdin:
        began, cpu = time.monotonic(), time.process_time()
        loss = epoch()
        took = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu, "loss": loss}
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
