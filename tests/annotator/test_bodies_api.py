"""Bodies that are too long are refused before Django has written them to disk."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from django.test import SimpleTestCase, override_settings

from annotator.api.bodies import LARGEST_TEXT, limited

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"
SIGNED_IN = ((b"authorization", b"Token abc"),)
Headers = tuple[tuple[bytes, bytes], ...]


class Bodies(SimpleTestCase):
    def ask(
        self,
        chunks: list[bytes],
        kind: str,
        announced: int | None = None,
        more: Headers = SIGNED_IN,
    ) -> tuple[Any, int]:
        """(what was answered, the bytes that the application got)."""
        sent: list[Any] = []
        reached = 0
        arriving = iter(chunks)

        async def application(scope: Any, receive: Any, send: Any) -> None:
            nonlocal reached
            for _ in chunks:
                reached += len((await receive())["body"])
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def receive() -> Any:
            return {"type": "http.request", "body": next(arriving), "more_body": True}

        async def send(event: Any) -> None:
            sent.append(event)

        headers = [(b"content-type", kind.encode()), *more]
        if announced is not None:
            headers.append((b"content-length", str(announced).encode()))
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        asyncio.run(limited(application)(scope, receive, send))
        return sent, reached

    def assert_refused(self, sent: Any) -> None:
        self.assertEqual(sent[0]["status"], 413)
        self.assertEqual(json.loads(sent[1]["body"])["code"], "too_large")

    def test_an_announced_body_is_refused_unread(self) -> None:
        sent, reached = self.ask([b"x"], JSON, announced=LARGEST_TEXT + 1)
        self.assert_refused(sent)
        self.assertEqual(reached, 0)

    def test_a_body_without_a_length_is_counted(self) -> None:
        sent, reached = self.ask([bytes(2**20)] * 40, JSON)
        self.assert_refused(sent)
        self.assertLessEqual(reached, LARGEST_TEXT)

    def test_files_may_be_longer_than_text_but_not_endless(self) -> None:
        sent, reached = self.ask([bytes(2**20)] * 40, FORM, announced=40 * 2**20)
        self.assertEqual((sent[0]["status"], reached), (200, 40 * 2**20))
        with override_settings(REQUEST_MAX_BYTES=30 * 2**20):
            self.assert_refused(self.ask([bytes(2**20)] * 40, FORM)[0])

    def test_only_whoever_may_be_signed_in_may_send_files(self) -> None:
        big = [bytes(2**20)] * 40
        signed_out: list[Headers] = [
            (),
            ((b"cookie", b"csrftoken=abc"),),
            ((b"cookie", b"sessionid="),),
        ]
        for headers in signed_out:
            with self.subTest(headers):
                sent, reached = self.ask(big, FORM, more=headers)
                self.assert_refused(sent)
                self.assertLessEqual(reached, LARGEST_TEXT)
                self.assertIn("sign in", json.loads(sent[1]["body"])["message"])
        for cookies in ((b"a=b; sessionid=abc",), (b"a=b", b"sessionid=abc")):
            with self.subTest(cookies):
                more = tuple((b"cookie", each) for each in cookies)
                self.assertEqual(self.ask(big, FORM, more=more)[0][0]["status"], 200)

    def test_a_length_that_is_no_number_is_not_believed(self) -> None:
        sent, _ = self.ask([b"{}"], JSON, announced=-5)
        self.assertEqual(sent[0]["status"], 200)
