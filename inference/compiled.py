"""Compile the kernels now, and keep them, instead of at the first click that needs them.

    python -m inference.compiled

Five seconds on two cores; without it whoever predicts or picks a cell first waits for them. Numba
keeps them beside the code, in ``NUMBA_CACHE_DIR``, or where neither can be written to in the
user's own cache, for processors like this one: others compile them anew.
"""

from __future__ import annotations

import numpy as np

from inference.flow_cache import pack, unpack
from inference.flows import masks_to_flows
from inference.kernels import NETWORK_SCALE
from inference.redecode import cell_at, masks_of

SIDE, DIAMETER, STEPS = 96, 24, 200


def main() -> int:
    """Everything from masks to flows and back on two squares; the number of cells found, 2."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[8:32, 8:32] = 1
    labels[48:72, 40:64] = 2
    cellprob = np.where(labels > 0, np.float32(4), np.float32(-4))
    flows = NETWORK_SCALE * masks_to_flows(labels)
    cached = unpack(pack(flows, cellprob, STEPS))
    masks = masks_of(cached, cellprob_threshold=0.0, flow_threshold=0.4, min_size=15)
    cell_at(cached, 52, 60, DIAMETER)
    return int(masks.max())


if __name__ == "__main__":
    main()
