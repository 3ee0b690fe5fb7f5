"""Kernels compiled ahead are those that predictions and picked cells use."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

# In a process of its own: others of this suite have compiled for what they needed.
LOOK = """
from inference import compiled, kernels
from inference.flow_cache import pack, unpack
from inference.flows import DecodeSettings, decode
from inference.redecode import cell_at
from tests.inference.test_flows_inference import blobs, network_like

def signatures():
    named = {name: getattr(kernels, name) for name in dir(kernels)}
    return {name: list(each.signatures) for name, each in named.items() if hasattr(each, "py_func")}

assert compiled.main() == 2
ready = signatures()
assert ready["euler"] and ready["heat_errors"] and ready["fill_holes"], ready
labels = blobs(0)
flows, cellprob = network_like(labels, 0)
decode(flows, cellprob, DecodeSettings())
cell_at(unpack(pack(flows, cellprob, 200)), labels.shape[1] // 2, labels.shape[0] // 2, 20.0)
assert signatures() == ready, (ready, signatures())
"""


class CompiledTest(unittest.TestCase):
    def test_every_kernel_is_ready_for_what_comes(self) -> None:
        command = [sys.executable, "-c", LOOK]
        root = Path(__file__).parents[2]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
