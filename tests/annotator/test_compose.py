"""docker-compose.yml: what a lab starts its server from."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


class ComposeFile(unittest.TestCase):
    def setUp(self) -> None:
        self.text = (ROOT / "docker-compose.yml").read_text()
        self.compose = yaml.safe_load(self.text)
        self.services = self.compose["services"]

    def test_it_has_every_part_and_a_gpu_profile(self) -> None:
        self.assertLessEqual(
            {"web", "worker", "trainer", "worker-gpu", "beat", "database", "broker", "objects"},
            set(self.services),
        )
        self.assertEqual(self.services["worker-gpu"]["profiles"], ["gpu"])

    def test_every_lasting_service_has_a_health_check(self) -> None:
        for name, service in self.services.items():
            if name != "prepare":
                self.assertIn("test", service["healthcheck"], name)

    def test_whatever_keeps_state_has_a_declared_volume(self) -> None:
        for name in ("database", "broker", "objects"):
            volume = self.services[name]["volumes"][0].split(":")[0]
            self.assertIn(volume, self.compose["volumes"])

    def test_no_secret_is_written_in_it(self) -> None:
        for name in re.findall(r"(\w*(?:PASSWORD|SECRET_KEY)\w*): (.*)", self.text):
            self.assertRegex(name[1], r"^\$\{\w+:\?", name[0])

    def test_its_variables_are_ones_the_settings_read(self) -> None:
        settings = (ROOT / "annotator" / "settings.py").read_text()
        for name in self.services["web"]["environment"]:
            self.assertIn(f'"{name}"', settings)
