"""Redis as Celery's broker, whose restart no worker dies of.

kombu 5.7 gives a message that is still held back to the queue when it closes a channel. Where Redis
has just gone, the client that would do so is closed already, and ``AttributeError`` ends the
worker. As a connection error, which it is, the worker connects again; Redis hands the message out
anew after its visibility timeout.
"""

from __future__ import annotations

from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):
    """Closes with a connection error where the connection is lost."""

    def close(self) -> None:
        """Give held messages back and close (redis.exceptions.ConnectionError)."""
        try:
            super().close()
        except AttributeError as error:
            raise RedisConnectionError(f"Redis went while a channel was closed: {error}") from error


class Transport(redis.Transport):
    """kombu's, with channels that can be closed at any time."""

    Channel = Channel
