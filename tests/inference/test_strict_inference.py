"""JSON that can be kept and sent on."""

from __future__ import annotations

import json
import unittest

from inference.strict import strict_json


class StrictJson(unittest.TestCase):
    def test_what_can_be_kept_is_read(self) -> None:
        for value in (
            {"a": [1, -2.5, None, True]},
            "\U0001f92a",
            "\\u0000",
            "\\ud800",
            2**63 - 1,
            -5,
            "9" * 30,
        ):
            for ascii_only in (True, False):
                text = json.dumps(value, ensure_ascii=ascii_only)
                self.assertEqual(strict_json(text), value)

    def test_what_cannot_is_named(self) -> None:
        for text, why in (
            ("NaN", "no number"),
            ("1e999", "too large"),
            (str(2**63), "too large"),
            (f'{{"a": [1, {-(2**64)}]}}', "too large"),
            ("[1, -1e999]", "too large"),
            (r'"\u0000"', "NUL"),
            (r'"\ud83e"', "half a character"),
            (r'{"\uDD2A": 1}', "half a character"),
            (r'"\udd2a\ud83e"', "half a character"),
            ("[" * 100_000, "nested"),
            ("{", "Expecting"),
        ):
            with self.subTest(text[:20]), self.assertRaisesRegex(ValueError, why):
                strict_json(text)
