"""Health, metrics, the page, the schema, the admin, and what the web process must not load."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import yaml
from django.conf import settings
from django.contrib import admin
from django.test import TestCase, TransactionTestCase, override_settings

from annotator.exceptions import Unavailable
from annotator.models import Dataset, Image, Revision
from tests.annotator.factories import (
    is_stored,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    pixels,
)
from tests.people import make_people


class Health(TestCase):
    def test_live_and_ready(self) -> None:
        self.assertEqual(self.client.get("/health/live").json(), {"status": "ok"})
        self.assertEqual(
            self.client.get("/health/ready").json(),
            {"status": "ok", "database": "ok", "storage": "ok", "broker": "ok"},
        )

    def test_ready_names_what_cannot_be_reached(self) -> None:
        down = mock.patch("annotator.storage.check", side_effect=Unavailable("down"))
        with down, self.assertLogs("annotator.api.health", "WARNING"):
            answer = self.client.get("/health/ready")
        self.assertEqual((answer.status_code, answer.json()["storage"]), (503, "unreachable"))
        self.assertIn("storage", answer.json()["message"])

    def test_metrics_count(self) -> None:
        make_revision(make_image())
        text = self.client.get("/metrics").content.decode()
        self.assertIn("\ncytoloop_images 1\n", text)
        self.assertIn('cytoloop_training_runs{status="failed"} 0\n', text)
        self.assertIn('cytoloop_queue_items{state="leased"} 0\n', text)


class Pages(TestCase):
    def test_every_other_path_is_the_page_with_a_csrf_cookie(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "index.html").write_text("<title>the page</title>")
            with override_settings(FRONTEND_DIST=Path(folder)):
                for path in ("/", "/sign-in", "/datasets/7/models", "/apiary"):
                    answer = self.client.get(path)
                    self.assertContains(answer, "the page")
                    self.assertIn("csrftoken", answer.cookies)

    def test_pages_that_are_not_built_say_so(self) -> None:
        with override_settings(FRONTEND_DIST=Path("/nowhere")):
            self.assertContains(self.client.get("/"), "make run", status_code=503)

    def test_other_peoples_paths_are_not_the_page(self) -> None:
        for path in ("/api/nowhere", "/static/nowhere.js", "/health/nowhere", "/metrics/x"):
            self.assertEqual(self.client.get(path).status_code, 404, path)


class Hosts(TestCase):
    def test_a_host_name_that_is_not_allowed_says_where_to_allow_it(self) -> None:
        with self.assertLogs("django.security.DisallowedHost", "ERROR"):
            answer = self.client.get("/health/live", headers={"host": "cells.lab.example"})
        self.assertEqual((answer.status_code, answer.json()["code"]), (400, "bad_input"))
        self.assertIn("cells.lab.example", answer.json()["message"])
        self.assertIn("ALLOWED_HOSTS", answer.json()["message"])


class Schema(TestCase):
    def test_the_schema_describes_the_api_and_the_docs_show_it(self) -> None:
        answer = self.client.get("/api/v1/schema/")
        paths = yaml.safe_load(answer.content)["paths"]
        for path in (
            "/api/v1/datasets/{id}/images/",
            "/api/v1/images/{id}/annotation/labels/",
            "/api/v1/datasets/{id}/queue/next/",
            "/api/v1/model-versions/",
            "/api/v1/exports/",
        ):
            self.assertIn(path, paths)
        self.assertContains(self.client.get("/api/v1/docs/"), "swagger")


class Admin(TestCase):
    def test_every_model_has_its_pages(self) -> None:
        dataset = make_dataset()
        self.client.force_login(make_people(dataset).root)
        image = make_image(dataset)
        make_prediction(image, make_version(dataset))
        make_revision(image)
        ours = [model for model in admin.site._registry if model._meta.app_label == "annotator"]
        self.assertGreaterEqual(len(ours), 12)
        for model in ours:
            base = f"/admin/annotator/{model._meta.model_name}/"
            with self.subTest(base):
                self.assertEqual(self.client.get(base + "?q=a").status_code, 200)
                row = model._default_manager.first()
                if row is not None:
                    self.assertEqual(self.client.get(f"{base}{row.pk}/change/").status_code, 200)

    def test_records_are_shown_and_not_edited(self) -> None:
        dataset = make_dataset()
        self.client.force_login(make_people(dataset).root)
        image = make_image(dataset)
        self.assertEqual(self.client.get("/admin/annotator/image/add/").status_code, 403)
        url = f"/admin/annotator/image/{image.pk}/change/"
        self.assertEqual(self.client.post(url, {"name": "other"}).status_code, 403)

    def change_of(self, dataset: Dataset, **changes: str) -> str:
        """The page after saving the data set's form with ``changes``; "" when it was saved."""
        url = f"/admin/annotator/dataset/{dataset.pk}/change/"
        form = self.client.get(url).context["adminform"].form
        fields = {name: form[name].value() for name in form.fields}
        sent = {
            name: value
            for name, value in fields.items()
            if value is not None and value is not False  # 0 is sent
        }
        for part in self.client.get(url).context["inline_admin_formsets"]:
            for each in (part.formset.management_form, *part.formset.forms):
                sent |= {each[name].html_name: each[name].value() for name in each.fields}
        sent = {name: "" if value is None else value for name, value in sent.items()}
        answer = self.client.post(url, sent | changes)
        return "" if answer.status_code == 302 else answer.content.decode()

    def test_a_data_set_takes_no_settings_that_workers_stumble_over(self) -> None:
        dataset = make_dataset()
        self.client.force_login(make_people(dataset).root)
        self.assertEqual(self.change_of(dataset, training='{"segmenter": {"epochs": 3}}'), "")
        for field, value in (
            ("training", "[]"),
            ("training", '{"segmenter": 5}'),
            ("training", '{"detector": {"epoch": 3}}'),
            ("channels", '{"a": 1}'),
            ("channels", '["cytoplasm", "cytoplasm"]'),
            ("type_pattern", "{a}{b}"),
            ("strategy", "badge"),
            ("type_margin", "2"),
            ("types-0-name", "CHO"),
            ("types-0-name", "mixed"),
        ):
            with self.subTest(field, value=value):
                self.assertIn("errorlist", self.change_of(dataset, **{field: value}))
        dataset.refresh_from_db()
        self.assertEqual(dataset.training, {"segmenter": {"epochs": 3}})


class Deleting(TestCase):
    """What an administrator of the site deletes in the admin."""

    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.client.force_login(make_people(self.dataset).root)
        self.array = pixels()
        self.image = make_image(self.dataset, "HEK_b1_1.tif", self.array)
        make_prediction(self.image, make_version(self.dataset))
        make_revision(self.image, types={1: "HEK"})
        make_revision(self.image)

    def delete(self, row: Dataset | Image | Revision) -> int:
        """The status of the answer to the confirmation of ``row``'s delete page."""
        url = f"/admin/annotator/{row._meta.model_name}/{row.pk}/delete/"
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(url, {"post": "yes"}).status_code

    def test_a_whole_data_set_goes_with_its_originals(self) -> None:
        self.assertEqual(self.delete(self.dataset), 302)
        self.assertFalse(Dataset.objects.exists())
        self.assertFalse(is_stored(self.image.key))

    def test_an_image_goes_with_its_revisions_and_its_original(self) -> None:
        self.assertEqual(self.delete(self.image), 302)
        self.assertFalse(Image.objects.exists() or Revision.objects.exists())
        self.assertFalse(is_stored(self.image.key))

    def test_selected_images_go_with_their_originals(self) -> None:
        other = make_image(self.dataset)
        action = {"action": "delete_selected", "_selected_action": [self.image.pk, other.pk]}
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/admin/annotator/image/", action | {"post": "yes"})
        self.assertFalse(Image.objects.exists())
        self.assertFalse(is_stored(self.image.key) or is_stored(other.key))

    def test_an_original_that_another_data_set_holds_stays(self) -> None:
        make_image(make_dataset(), "HEK_b1_1.tif", self.array)
        self.delete(self.dataset)
        self.assertTrue(is_stored(self.image.key))

    def test_a_revision_is_not_deleted_alone(self) -> None:
        head = self.image.revisions.order_by("-number")[0]
        self.assertEqual(self.delete(head), 403)
        action = {"action": "delete_selected", "_selected_action": [head.pk], "post": "yes"}
        self.client.post("/admin/annotator/revision/", action)
        self.assertEqual(self.image.revisions.count(), 2)


class DeletingInVain(TransactionTestCase):
    """With commits, after which the originals go."""

    def test_storage_that_fails_is_told_and_the_data_set_can_be_deleted_again(self) -> None:
        dataset = make_dataset()
        self.client.force_login(make_people(dataset).root)
        image = make_image(dataset)
        url = f"/admin/annotator/dataset/{dataset.pk}/delete/"
        with mock.patch("annotator.storage.delete", side_effect=Unavailable("The disk is gone.")):
            answer = self.client.post(url, {"post": "yes"}, follow=True)
        self.assertContains(answer, "Not everything was deleted. The disk is gone.")
        self.assertTrue(is_stored(image.key))
        self.client.post(url, {"post": "yes"})
        self.assertFalse(Dataset.objects.exists())


class WebProcess(TestCase):
    def test_it_never_loads_torch(self) -> None:
        code = (
            "import django, sys; django.setup(); import annotator.urls, annotator.admin; "
            "heavy = {'torch', 'torchvision', 'cellpose', 'numba'} & set(sys.modules); "
            "sys.exit(f'loaded {heavy}' if heavy else 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=settings.BASE_DIR,
            env={
                "DJANGO_SETTINGS_MODULE": "annotator.settings",
                "CYTOLOOP_VAR": str(settings.VAR_DIR),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
