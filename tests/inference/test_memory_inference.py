"""Memory is fetched from the system once instead of at each use."""

from __future__ import annotations

import json
import subprocess
import sys
import unittest
from pathlib import Path

LOOK = """
import json, resource
import torch
from inference import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(16 * 2**20)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
usual = faults()
there = memory.keep_freed()
kept = [faults() for _ in range(8)][-1]  # the first ones are fetched
memory.give_back()
print(json.dumps([there, usual, kept, faults()]))
"""


class MemoryTest(unittest.TestCase):
    def test_large_blocks_are_kept_until_they_are_given_back(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", LOOK],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        there, usual, kept, given_back = json.loads(done.stdout)
        if not there:
            self.skipTest("this system has another allocator than glibc's")
        self.assertGreater(usual, 100)
        self.assertLess(kept, usual / 4)
        self.assertGreater(given_back, kept)
