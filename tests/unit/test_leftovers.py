"""What of an account's events may go: what everybody who wants it has had."""

import pytest
from nats.js import api

from hub.leftovers import has_done


def consumer(
    *, delivered: int, floor: int, pending: int = 0, unacknowledged: int = 0
) -> api.ConsumerInfo:
    """Give what nats-server says of a consumer."""
    info: api.ConsumerInfo = api.ConsumerInfo.from_response(
        {
            "name": "one",
            "stream_name": "EVENTS",
            "created": "2026-11-30T20:00:00Z",
            "config": {"durable_name": "one"},
            "delivered": {"consumer_seq": delivered, "stream_seq": delivered},
            "ack_floor": {"consumer_seq": floor, "stream_seq": floor},
            "num_pending": pending,
            "num_ack_pending": unacknowledged,
        }
    )
    return info


@pytest.mark.parametrize(
    ("info", "done"),
    [
        (consumer(delivered=9, floor=9), True),
        (consumer(delivered=7, floor=7), True),
        (consumer(delivered=7, floor=7, pending=3), True),
        (consumer(delivered=7, floor=6, unacknowledged=1), False),
        (consumer(delivered=6, floor=6, pending=1), False),
    ],
)
def test_an_event_is_done_with_once_it_was_acknowledged(info: api.ConsumerInfo, done: bool) -> None:
    assert has_done(info, 7) is done


def test_a_consumer_that_is_just_being_made_has_had_nothing() -> None:
    """For a moment nats-server says that nothing is pending for it."""
    assert not has_done(consumer(delivered=0, floor=0), 7)
