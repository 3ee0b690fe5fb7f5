"""One of two processes that share a batch; prints what it has afterwards (see the tests)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn

from training.parallel import Processes, Share


def data() -> torch.Tensor:
    """Six samples of three numbers."""
    return torch.arange(18.0).reshape(6, 3).sin()


def network(seed: int) -> nn.ModuleDict:
    """Three layers, of which the second is used by the first process only, the third by none."""
    torch.manual_seed(seed)
    return nn.ModuleDict(
        {"used": nn.Linear(3, 2), "rarely": nn.Linear(2, 1), "never": nn.Linear(1, 1)}
    )


def main(rank: int, meeting: Path) -> None:
    share = Share(rank, 2)
    team = Processes(share, torch.device("cpu"), meeting)
    net = network(rank)
    team.align(net)
    begun = {name: values.tolist() for name, values in net.state_dict().items()}
    mine = net["used"](torch.stack(share.part(data())))
    loss = mine.square().mean() + (net["rarely"](mine).mean() if rank == 0 else 0.0)
    loss.backward()
    team.average_gradients(net)
    print(
        json.dumps(
            {
                "begun": begun,
                "gradients": {
                    name: None if each.grad is None else each.grad.tolist()
                    for name, each in net.named_parameters()
                },
                "agreed": team.agreed(10.0 + rank),
                "mean": team.mean(float(rank)),
            }
        )
    )
    team.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
