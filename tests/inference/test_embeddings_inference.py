"""Vectors of cells and images: packed, unpacked and projected."""

from __future__ import annotations

import unittest

import numpy as np

from inference import embeddings


class EmbeddingsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.rng = np.random.default_rng(0)

    def test_packed_vectors_come_back_to_three_digits(self):
        vectors = embeddings.unit(self.rng.normal(size=(5, 64)))
        packed = embeddings.pack(vectors)
        self.assertEqual([len(each) for each in packed], [128] * 5)
        np.testing.assert_allclose(embeddings.unpack_many(packed), vectors, atol=1e-3)
        np.testing.assert_allclose(embeddings.unpack(packed[3]), vectors[3], atol=1e-3)

    def test_none_and_odd_ones(self):
        self.assertEqual(embeddings.unpack_many([]).shape, (0, 64))
        with self.assertRaisesRegex(ValueError, "differ in size"):
            embeddings.unpack_many([bytes(8), bytes(6)])
        for damaged in (None, b"", b"odd"):
            self.assertIsNone(embeddings.unpacked(damaged))
        self.assertEqual(embeddings.unpacked(memoryview(bytes(8))).shape, (4,))
        wild = np.array([[np.nan, np.inf, -1e9, 0.5]])
        back = embeddings.unpack(embeddings.pack(wild)[0])
        np.testing.assert_allclose(back, [0, 65504, -65504, 0.5])
        self.assertFalse(embeddings.unit(np.zeros((2, 3))).any())

    def test_a_projection_keeps_near_things_near(self):
        base = self.rng.normal(size=(30, 512))
        near = base + 0.1 * self.rng.normal(size=base.shape)
        a, b = embeddings.projected(base), embeddings.projected(near)
        distances = np.linalg.norm(a[:, None] - b[None], axis=2)
        np.testing.assert_array_equal(distances.argmin(axis=1), np.arange(30))
        ratio = np.linalg.norm(a, axis=1) / np.linalg.norm(base, axis=1)
        self.assertLess(np.abs(ratio - 1).max(), 0.35)


if __name__ == "__main__":
    unittest.main()
