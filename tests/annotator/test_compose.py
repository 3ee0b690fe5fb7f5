"""docker-compose.yml: what a lab starts its server from."""

from __future__ import annotations

import json
import re
import unittest
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
# What the containers have otherwise: from the Dockerfile, or in the address of the web's port.
NOT_PASSED = {"CYTOLOOP_VAR", "HOST", "PORT"}


class ComposeFile(unittest.TestCase):
    def setUp(self) -> None:
        self.text = (ROOT / "docker-compose.yml").read_text()
        self.compose = yaml.safe_load(self.text)
        self.services = self.compose["services"]
        self.manual = (ROOT / "docs" / "admin.md").read_text()

    def config_of(self, service: str, target: str) -> Any:
        """The content of the file that compose puts at ``target``."""
        (found,) = self.services[service]["configs"]
        self.assertEqual(found["target"], target)
        return self.compose["configs"][found["source"]]["content"]

    def queues(self) -> dict[str, str]:
        """The queue of every worker."""
        commands = {name: str(each.get("command", "")) for name, each in self.services.items()}
        return {
            name: match[1]
            for name, command in commands.items()
            if (match := re.search(r"--queues (\S+)", command))
        }

    def test_it_has_every_part_and_a_gpu_profile(self) -> None:
        gpu = {"worker-gpu", "trainer-gpu"}
        self.assertLessEqual(
            {"web", "worker", "trainer", "beat", "database", "broker", "objects"} | gpu,
            set(self.services),
        )
        for name in gpu:
            self.assertEqual(self.services[name]["profiles"], ["gpu"])

    def test_predictions_never_wait_behind_a_training(self) -> None:
        queues = self.queues()
        self.assertEqual(
            queues,
            {
                "worker": "cpu",
                "trainer": "training",
                "worker-gpu": "gpu",
                "trainer-gpu": "gpu-training",
            },
        )
        for text in (self.text, self.manual):
            self.assertIn(f"PREDICTION_QUEUE={queues['worker-gpu']}", text)
            self.assertIn(f"TRAINING_QUEUE={queues['trainer-gpu']}", text)

    def test_workers_have_time_to_let_go(self) -> None:
        for name in self.queues():
            self.assertEqual(self.services[name]["stop_grace_period"], "30s", name)

    def test_health_checks_ask_their_own_worker(self) -> None:
        for name in self.queues():
            said = re.search(r"--hostname (\S+)@%h", self.services[name]["command"])
            assert said
            check = self.services[name]["healthcheck"]["test"][1]
            self.assertIn(f"--destination {said[1]}@$$HOSTNAME", check)

    def test_every_lasting_service_has_a_health_check(self) -> None:
        for name, service in self.services.items():
            if name != "prepare":
                self.assertIn("test", service["healthcheck"], name)

    def test_whatever_keeps_state_has_a_declared_volume(self) -> None:
        for name in ("database", "broker", "objects", *self.queues()):
            volume = self.services[name]["volumes"][0].split(":")[0]
            self.assertIn(volume, self.compose["volumes"])

    def test_no_secret_is_written_in_it(self) -> None:
        for name in re.findall(r"(\w*(?:PASSWORD|SECRET_KEY|secretKey)\w*)\"?: (.*)", self.text):
            self.assertRegex(name[1], r'^"?\$\{\w+:\?', name[0])

    def test_its_variables_are_ones_the_settings_read(self) -> None:
        settings = (ROOT / "annotator" / "settings.py").read_text()
        for name in self.services["web"]["environment"]:
            self.assertIn(f'"{name}"', settings)

    def test_every_setting_of_the_manual_reaches_every_container(self) -> None:
        rows = re.findall(r"^\| (`[A-Z].*?) \|.*$", self.manual, re.MULTILINE)
        named = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", " ".join(rows)))
        named |= set(re.findall(r"`(S3_[A-Z_]+)`", self.manual))
        self.assertGreater(len(named), 20)
        for service in ("prepare", "web", "beat", *self.queues()):
            passed = self.services[service]["environment"]
            self.assertEqual(named - NOT_PASSED - set(passed), set(), service)

    def test_the_broker_is_one_minor_release_and_keeps_messages_for_long_trainings(self) -> None:
        self.assertRegex(self.services["broker"]["image"], r"^rabbitmq:\d+\.\d+-alpine$")
        content = self.config_of("broker", "/etc/rabbitmq/conf.d/90-cytoloop.conf")
        name, milliseconds = content.strip().split(" = ")
        self.assertEqual(name, "consumer_timeout")
        self.assertGreaterEqual(int(milliseconds), 7 * 24 * 3600 * 1000)
        self.assertIn(content.strip(), self.manual)

    def test_object_storage_knows_the_keys_that_the_app_has(self) -> None:
        target = "/etc/seaweedfs/identities.json"
        self.assertIn(f"-s3.config={target}", self.services["objects"]["command"])
        app = self.services["web"]["environment"]
        (identity,) = json.loads(self.config_of("objects", target))["identities"]
        self.assertIn("Admin", identity["actions"])
        self.assertEqual(
            identity["credentials"],
            [{"accessKey": app["S3_ACCESS_KEY"], "secretKey": app["S3_SECRET_KEY"]}],
        )
