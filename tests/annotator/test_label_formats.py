"""Masks beside images: cellpose's _seg.npy, ImageJ's ROIs, tables of types."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from typing import Any

import numpy as np
import roifile
from django.test import SimpleTestCase

from annotator.exceptions import BadInput, UnreadableImage, UnusableLabels
from annotator.formats.imagej_rois import read_rois
from annotator.formats.label_files import read_label_file
from annotator.formats.seg_npy import read_masks
from annotator.formats.types_csv import read_types
from tests.annotator.factories import square_labels, tiff_bytes

MARK = "CYTOLOOP_PICKLE_RAN"


class Attack:
    """Runs code when unpickled carelessly."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.putenv, (MARK, "1"))


def seg_bytes(content: Any, protocol: int = 4) -> bytes:
    """What ``np.save`` writes for an object, at any pickle protocol."""
    buffer = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(buffer, header)
    pickle.dump(np.array(content, dtype=object), buffer, protocol=protocol)
    return buffer.getvalue()


class SegNpy(SimpleTestCase):
    def test_masks_come_out_of_every_pickle_protocol(self) -> None:
        masks = square_labels()
        content = {"masks": masks, "filename": "a.png", "est_diam": np.float32(3), "flows": [None]}
        for protocol in range(6):
            with self.subTest(protocol=protocol):
                np.testing.assert_array_equal(read_masks(seg_bytes(content, protocol), "a"), masks)

    def test_what_numpy_saves_is_read(self) -> None:
        buffer = io.BytesIO()
        np.save(buffer, {"masks": square_labels()}, allow_pickle=True)  # type: ignore[arg-type]
        np.testing.assert_array_equal(read_masks(buffer.getvalue(), "a_seg.npy"), square_labels())

    def test_a_malicious_pickle_is_refused_and_does_not_run(self) -> None:
        for content in ({"masks": Attack()}, Attack(), [{"masks": square_labels()}, Attack()]):
            with self.assertRaises(UnreadableImage) as caught:
                read_masks(seg_bytes(content), "a_seg.npy")
            self.assertIn("refused", caught.exception.message)

    def test_names_that_lead_elsewhere_are_refused(self) -> None:
        for target in ("builtins eval", "numpy load", "numpy.ndarray.tofile x", "os system"):
            module, name = target.split()[:2]
            raw = f"c{module}\n{name}\n.".encode()
            content = seg_bytes(0)[: len(seg_bytes(0)) - len(pickle.dumps(np.array(0, object), 4))]
            with self.subTest(target), self.assertRaises(UnreadableImage):
                read_masks(content + raw, "a_seg.npy")

    def test_a_claim_of_gigabytes_is_refused(self) -> None:
        header = seg_bytes(0)[: len(seg_bytes(0)) - len(pickle.dumps(np.array(0, object), 4))]
        claim = pickle.PROTO + b"\5" + pickle.BYTEARRAY8 + (1 << 40).to_bytes(8, "little") + b"."
        shape = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(L999999999999L\nt"
        for crafted in (claim, shape + b"S'b'\ntR."):
            with self.assertRaises((UnreadableImage, UnusableLabels)):
                read_masks(header + crafted, "a_seg.npy")

    def test_stacks_and_files_without_masks_are_refused(self) -> None:
        for content in ({"masks": np.zeros((2, 3, 4), int)}, {"other": 1}, 7):
            with self.assertRaises(UnusableLabels):
                read_masks(seg_bytes(content), "a_seg.npy")
        with self.assertRaises(UnreadableImage):
            read_masks(b"no numpy", "a_seg.npy")


def zipped(rois: list[roifile.ImagejRoi]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, roi in enumerate(rois):
            archive.writestr(f"{number:04d}.roi", roi.tobytes())
    return buffer.getvalue()


def rectangle(x0: int, y0: int, x1: int, y1: int, name: str = "") -> roifile.ImagejRoi:
    return roifile.ImagejRoi.frompoints([[x0, y0], [x0, y1], [x1, y1], [x1, y0]], name=name)


class ImagejRois(SimpleTestCase):
    def test_a_pixel_edge_outline_covers_exactly_its_pixels(self) -> None:
        found = read_rois(zipped([rectangle(2, 3, 9, 8)]), "a_rois.zip", (20, 20)).labels
        expected = np.zeros((20, 20), np.uint32)
        expected[3:8, 2:9] = 1
        np.testing.assert_array_equal(found, expected)

    def test_names_give_labels_and_types(self) -> None:
        drawn = read_rois(
            zipped([rectangle(0, 0, 4, 4, "12 HEK"), rectangle(6, 6, 9, 9, "7")]), "a", (20, 20)
        )
        self.assertEqual(np.unique(drawn.labels).tolist(), [0, 7, 12])
        self.assertEqual(drawn.types, {12: "HEK"})

    def test_imagejs_own_names_are_counted_from_one(self) -> None:
        rois = [rectangle(0, 0, 4, 4, "0002-0002"), rectangle(6, 6, 9, 9, "0007-0007")]
        drawn = read_rois(zipped(rois), "a", (20, 20))
        self.assertEqual(np.unique(drawn.labels).tolist(), [0, 1, 2])

    def test_an_oval_has_the_area_of_an_ellipse(self) -> None:
        oval = roifile.ImagejRoi(
            roitype=roifile.ROI_TYPE.OVAL, left=5, top=5, right=45, bottom=35, name="x"
        )
        area = (read_rois(zipped([oval]), "a", (50, 50)).labels > 0).sum()
        self.assertAlmostEqual(area, np.pi * 20 * 15, delta=10)

    def test_a_composite_keeps_its_hole(self) -> None:
        path: list[float] = []
        for loop in ([(2, 2), (2, 12), (12, 12), (12, 2)], [(5, 5), (5, 8), (8, 8), (8, 5)]):
            for number, (x, y) in enumerate(loop):
                path += [0 if number == 0 else 1, x, y]
            path.append(4)
        ring = roifile.ImagejRoi(
            roitype=roifile.ROI_TYPE.RECT,
            left=2,
            top=2,
            right=12,
            bottom=12,
            shape_roi_size=len(path),
            multi_coordinates=np.array(path, np.float32),
            name="1",
        )
        labels = read_rois(zipped([ring]), "a", (20, 20)).labels
        self.assertEqual((labels > 0).sum(), 100 - 9)
        self.assertEqual(labels[6, 6], 0)

    def test_rois_outside_the_image_and_broken_zips_are_refused(self) -> None:
        with self.assertRaises(UnusableLabels):
            read_rois(zipped([rectangle(30, 30, 40, 40)]), "a_rois.zip", (20, 20))
        with self.assertRaises(UnusableLabels):
            read_rois(zipped([]), "a_rois.zip", (20, 20))
        for content in (b"no zip", zipped([rectangle(1, 1, 5, 5)])[:60]):
            with self.assertRaises(UnreadableImage):
                read_rois(content, "a_rois.zip", (20, 20))


class LabelFiles(SimpleTestCase):
    def test_masks_of_another_shape_are_refused(self) -> None:
        with self.assertRaises(UnusableLabels) as caught:
            read_label_file(tiff_bytes(square_labels()), "a_masks.tif", (48, 65))
        self.assertIn("64×48", caught.exception.message)

    def test_a_binary_mask_is_refused(self) -> None:
        binary = (square_labels() > 0).astype(np.uint8) * 255
        with self.assertRaises(UnusableLabels) as caught:
            read_label_file(tiff_bytes(binary), "a_masks.tif", (48, 64))
        self.assertIn("binary", caught.exception.message)
        one = square_labels(1)
        self.assertEqual(read_label_file(tiff_bytes(one), "a_masks.tif", (48, 64)).labels.max(), 1)


class TypesCsv(SimpleTestCase):
    def test_labels_and_types(self) -> None:
        for content in (
            b"label,type\n1,HEK\n2,\n3,N2a\n",
            b"\xef\xbb\xbfLabel;Type\r\n1;HEK\r\n3;N2a\r\n",
        ):
            self.assertEqual(read_types(content, "a_types.csv"), {1: "HEK", 3: "N2a"})

    def test_it_rejects_tables_it_cannot_trust(self) -> None:
        for content in (
            b"cell,kind\n1,HEK\n",
            b"label,type\none,HEK\n",
            b"label,type\n1,HEK\n1,N2a\n",
            b"type,label\nHEK\n",
            b"label,type\n1," + b"x" * 200_000 + b"\n",
            b"\xff\xfe",
            b"",
        ):
            with self.subTest(content), self.assertRaises(BadInput):
                read_types(content, "a_types.csv")
