"""What file names say."""

from __future__ import annotations

from collections import Counter

from django.test import SimpleTestCase

from annotator.exceptions import BadInput
from annotator.naming import Kind, base_name, check_pattern, file_role, parse_name, split_of

PATTERN = "{type}_{batch}_{field}"
TYPES = ["HEK", "N2a"]


class FileRoles(SimpleTestCase):
    def test_it_knows_images_masks_types_and_byproducts(self) -> None:
        for name, kind, stem in [
            ("X.png", Kind.IMAGE, "X"),
            ("X.ome.tif", Kind.IMAGE, "X"),
            ("X_img.tif", Kind.IMAGE, "X"),
            ("X.JPG", Kind.IMAGE, "X"),
            ("X_masks.tif", Kind.LABELS, "X"),
            ("X_img_masks.tif", Kind.LABELS, "X"),
            ("X_cp_masks.png", Kind.LABELS, "X"),
            ("X_seg.npy", Kind.LABELS, "X"),
            ("X_rois.zip", Kind.LABELS, "X"),
            ("X_types.csv", Kind.TYPES, "X"),
        ]:
            with self.subTest(name):
                role = file_role(name)
                self.assertEqual((role.kind, role.stem), (kind, stem))

    def test_it_never_lists_what_cellpose_writes_beside_images(self) -> None:
        for suffix in ("_flows", "_outlines", "_cp_output", "_cellprob", "_seg"):
            self.assertEqual(file_role(f"X{suffix}.tif").kind, Kind.IGNORED)
        for name in ("notes.txt", ".DS_Store", "._X.png", "table.csv", "X.npy"):
            self.assertEqual(file_role(name).kind, Kind.IGNORED)

    def test_a_name_cannot_leave_its_folder(self) -> None:
        self.assertEqual(base_name("../../etc/passwd.png"), "passwd.png")
        self.assertEqual(base_name("C:\\fakepath\\X.png"), "X.png")
        for name in ("", "..", "/", "a/.."):
            with self.assertRaises(BadInput):
                base_name(name)


class Patterns(SimpleTestCase):
    def test_it_reads_type_batch_and_field(self) -> None:
        parsed = parse_name("HEK_b1_007", PATTERN, TYPES)
        self.assertEqual(parsed.culture, "HEK")
        self.assertEqual(parsed.parts, {"batch": "b1", "field": "007"})
        self.assertEqual(parsed.group, "batch=b1")

    def test_the_case_of_a_type_does_not_matter(self) -> None:
        self.assertEqual(parse_name("n2A_b1_1", PATTERN, TYPES).culture, "N2a")

    def test_mixed_is_always_known(self) -> None:
        self.assertEqual(parse_name("mixed_b1_1", PATTERN, TYPES).culture, "mixed")

    def test_a_type_may_contain_the_separator(self) -> None:
        parsed = parse_name("HEK_293_b1_x_y", PATTERN, ["HEK_293", "HEK"])
        self.assertEqual((parsed.culture, parsed.parts["batch"]), ("HEK_293", "b1"))
        self.assertEqual(parsed.parts["field"], "x_y")

    def test_an_unknown_type_is_told_apart_from_no_match(self) -> None:
        self.assertTrue(parse_name("CHO_b1_1", PATTERN, TYPES).unknown_type)
        missed = parse_name("scan-5", PATTERN, TYPES)
        self.assertFalse(missed.matched or missed.unknown_type)

    def test_a_data_set_without_types_has_no_unknown_type(self) -> None:
        self.assertFalse(parse_name("CHO_b1_1", PATTERN, []).unknown_type)

    def test_batch_plate_well_and_donor_together_are_the_group(self) -> None:
        parsed = parse_name("d1-p2-A03-9", "{donor}-{plate}-{well}-{field}", TYPES)
        self.assertEqual(parsed.group, "donor=d1 plate=p2 well=A03")

    def test_it_rejects_patterns_that_cannot_be_read(self) -> None:
        for pattern in ("{type}{batch}", "{type}_{type}", "{Type}", "{}", "{type", "type}"):
            with self.subTest(pattern), self.assertRaises(BadInput):
                check_pattern(pattern)
        for pattern in ("", PATTERN, "img-{well}.{field}"):
            check_pattern(pattern)


class Splits(SimpleTestCase):
    def test_a_group_never_straddles_and_never_moves(self) -> None:
        self.assertEqual(split_of("batch=b1"), split_of("batch=b1"))
        # Fixed by arithmetic: a change of the hash would move images between splits.
        splits = [split_of(f"batch=b{number}").value for number in range(1, 5)]
        self.assertEqual(splits, ["train", "validation", "train", "train"])

    def test_many_groups_come_near_to_70_15_15(self) -> None:
        found = Counter(split_of(str(number)).value for number in range(4000))
        self.assertAlmostEqual(found["train"] / 4000, 0.70, delta=0.03)
        self.assertAlmostEqual(found["validation"] / 4000, 0.15, delta=0.03)
        self.assertAlmostEqual(found["test"] / 4000, 0.15, delta=0.03)
