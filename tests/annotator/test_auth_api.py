"""Signing in by session and by token."""

from __future__ import annotations

import subprocess
import sys

from django.conf import settings
from django.core.cache import cache
from django.test import Client, TestCase, override_settings
from rest_framework.settings import api_settings

from tests.annotator.factories import make_dataset
from tests.people import PASSWORD, make_people

SESSION, TOKEN, ME = "/api/v1/auth/session/", "/api/v1/auth/token/", "/api/v1/me/"
ADMIN = "/admin/login/"


# Hashing is slow on purpose; the throttle's test would pay for it twenty times.
@override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])
class SigningIn(TestCase):
    def setUp(self) -> None:
        cache.clear()  # the throttle's counts
        self.alice = make_people(make_dataset()).alice
        self.alice.set_password(PASSWORD)
        self.alice.save()
        self.right = {"username": "alice", "password": PASSWORD}

    def test_a_session_lasts_until_signed_out(self) -> None:
        expected = {"id": self.alice.pk, "username": "alice", "is_admin": False}
        answer = self.client.post(SESSION, self.right, "application/json")
        self.assertEqual((answer.status_code, answer.json()), (200, expected))
        self.assertEqual(self.client.get(ME).json(), expected)
        self.assertEqual(self.client.delete(SESSION).status_code, 204)
        self.assertEqual(self.client.get(ME).status_code, 401)

    def test_a_token_opens_the_api(self) -> None:
        answer = self.client.post(TOKEN, self.right, "application/json")
        header = f"Token {answer.json()['token']}"
        self.assertEqual(self.client.get(ME, headers={"Authorization": header}).status_code, 200)
        wrong = self.client.get(ME, headers={"Authorization": "Token nonsense"})
        self.assertEqual((wrong.status_code, wrong.json()["code"]), (401, "authentication_failed"))

    def test_wrong_credentials_do_not_say_which_part_is_wrong(self) -> None:
        messages = set()
        for change in ({"password": "no"}, {"username": "nobody"}):
            answer = self.client.post(SESSION, self.right | change, "application/json")
            self.assertEqual(answer.json()["code"], "authentication_failed")
            messages.add(answer.json()["message"])
        self.assertEqual(len(messages), 1)

    def test_an_inactive_account_cannot_sign_in(self) -> None:
        self.alice.is_active = False
        self.alice.save()
        for path in (SESSION, TOKEN):
            answer = self.client.post(path, self.right, "application/json")
            self.assertEqual(answer.json()["code"], "authentication_failed")

    def test_tries_are_throttled(self) -> None:
        allowed = int(str(api_settings.DEFAULT_THROTTLE_RATES["sign_in"]).split("/")[0])
        wrong = self.right | {"password": "no"}
        for _ in range(allowed):
            self.client.post(SESSION, wrong, "application/json")
        answer = self.client.post(TOKEN, self.right, "application/json")
        self.assertEqual((answer.status_code, answer.json()["code"]), (429, "too_many_requests"))
        self.assertIn("Retry-After", answer.headers)

    def test_the_admin_counts_with_the_other_doors(self) -> None:
        allowed = int(str(api_settings.DEFAULT_THROTTLE_RATES["sign_in"]).split("/")[0])
        for number in range(allowed):
            path = (ADMIN, TOKEN)[number % 2]
            answer = self.client.post(path, self.right | {"password": "no"})
            self.assertNotEqual(answer.status_code, 429)
        answer = self.client.post(ADMIN, self.right)
        self.assertEqual((answer.status_code, answer.json()["code"]), (429, "too_many_requests"))
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertEqual(self.client.get(ADMIN).status_code, 200)  # to look is no try

    def test_an_administrator_signs_in_to_the_admin(self) -> None:
        self.alice.is_staff = self.alice.is_superuser = True
        self.alice.save()
        answer = self.client.post(f"{ADMIN}?next=/admin/", self.right)
        self.assertRedirects(answer, "/admin/")

    def test_the_processes_of_a_machine_count_together(self) -> None:
        self.client.post(TOKEN, self.right, "application/json")
        code = (
            "import django; django.setup(); from django.core.cache import cache; "
            "print(len(cache.get('throttle_sign_in_127.0.0.1')))"
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
        self.assertEqual(done.stdout.strip(), "1", done.stderr)

    def test_a_forged_address_does_not_open_the_throttle(self) -> None:
        allowed = int(str(api_settings.DEFAULT_THROTTLE_RATES["sign_in"]).split("/")[0])
        wrong = self.right | {"password": "no"}
        for number in range(allowed + 1):
            forged = {"X-Forwarded-For": f"10.0.0.{number}"}
            answer = self.client.post(TOKEN, wrong, "application/json", headers=forged)
        self.assertEqual(answer.status_code, 429)

    def test_another_site_cannot_sign_a_visitor_in_or_write(self) -> None:
        client = Client(enforce_csrf_checks=True)
        answer = client.post(SESSION, self.right, "application/json")
        self.assertEqual((answer.status_code, answer.json()["code"]), (403, "csrf_failed"))
        client.get(ME)
        token = {"X-CSRFToken": client.cookies["csrftoken"].value}
        answer = client.post(SESSION, self.right, "application/json", headers=token)
        self.assertEqual(answer.status_code, 200)
        new = {"name": "x", "channels": ["nucleus"]}
        self.assertEqual(client.post("/api/v1/datasets/", new, "application/json").status_code, 403)
        token = {"X-CSRFToken": client.cookies["csrftoken"].value}
        answer = client.post("/api/v1/datasets/", new, "application/json", headers=token)
        self.assertEqual(answer.status_code, 201)
