"""The states of a client's connection, what leads from one to the other, and how long each may last.

The life of a connection, with what makes each step (`TRANSITIONS` has them all)::

              a head, and all of its body
          ┌─────────────────────────────────────────────────┐
          │                                                 ▼
    ┌── HEAD ──(a head)──► RECEIVING ───(body's end)──► ANSWERING ──(last answer)──► LINGERING
    │     ▲                    │                            │                        ▲ ▲    │
    │     │             (early answer)                  (answer)                     │ │    │ when nothing is unread,
    │  (bytes)                 ▼                            ▼                        │ │    │ when the client ends,
    │     └───────── IDLE ◄── DISCARDING ◄──(body's end)   IDLE                      │ │    │ or in the end
    │                                                                                │ │    ▼
    └──(fault)──► REFUSING ──(last answer)───────────────────────────────────────────┘ │  CLOSED
                     ▲                                                                 │
    RECEIVING ───(fault)                                DISCARDING ──(fault)───────────┘

Whatever the state, a client that leaves makes it CLOSED. Nothing but a whole request brings back the patience of IDLE.
"""

import enum

# Seconds.
HEAD_WITHIN = 30.0  # from the connection, or from a later request's first byte, to the end of its head
# Longer than the pools of usual clients keep a connection, so that it is they who close it, and never in the moment
# in which they send the next request (openai-python 5 s, Node 5 s, Go 90 s).
REQUEST_WITHIN = 120.0
LINGER = 10.0  # for a client to take its last answer, while what it still sends is thrown away


class State(enum.Enum):
    """Where a connection stands; drawn above."""

    HEAD = "a head is due, or the rest of one"
    RECEIVING = "a request's body is due, and its answer is not complete"
    DISCARDING = "the answer is complete, and the rest of the request's body is due"
    ANSWERING = "the request is complete, and its answer is not"
    IDLE = "the answer is complete, and another request may come"
    REFUSING = "what came is no request, or breaks one off, and that is being answered"
    LINGERING = "the last answer is out, and what still comes is thrown away"
    CLOSED = "the client is gone"

    __hash__ = object.__hash__  # looked up for each request; the one of `enum.Enum` is a call of Python (3.11)


class Event(enum.Enum):
    """What happens to a connection."""

    HEAD_BEGINS = "the first bytes of a head, and not all of it"
    REQUEST = "a head without a body"
    UPLOAD = "a head with a body"
    BODY_ENDS = "the last byte of a body"
    ANSWERED = "the last byte of an answer, behind which another request may come"
    LAST_ANSWERED = "the last byte of an answer, behind which none may"
    FAULT = "a breach of HTTP, or a deadline that has passed"
    TURNED_AWAY = "there is no place for it"
    GONE = "the client is"

    __hash__ = object.__hash__  # as above


# Looked up in its class, a member of an enum costs ten times as much (CPython 3.11, enum.EnumType.__getattr__).
HEAD, RECEIVING, DISCARDING, ANSWERING, IDLE, REFUSING, LINGERING, CLOSED = State
HEAD_BEGINS, REQUEST, UPLOAD, BODY_ENDS, ANSWERED, LAST_ANSWERED, FAULT, TURNED_AWAY, GONE = Event

TRANSITIONS: dict[State, dict[Event, State]] = {
    HEAD: {REQUEST: ANSWERING, UPLOAD: RECEIVING, FAULT: REFUSING, TURNED_AWAY: LINGERING, GONE: CLOSED},
    IDLE: {HEAD_BEGINS: HEAD, REQUEST: ANSWERING, UPLOAD: RECEIVING, FAULT: REFUSING, GONE: CLOSED},
    RECEIVING: {
        BODY_ENDS: ANSWERING,
        ANSWERED: DISCARDING,
        LAST_ANSWERED: LINGERING,
        FAULT: REFUSING,
        GONE: CLOSED,
    },
    DISCARDING: {BODY_ENDS: IDLE, FAULT: LINGERING, GONE: CLOSED},
    ANSWERING: {ANSWERED: IDLE, LAST_ANSWERED: LINGERING, GONE: CLOSED},
    REFUSING: {LAST_ANSWERED: LINGERING, GONE: CLOSED},
    LINGERING: {GONE: CLOSED},
    CLOSED: {},
}


def deadline(state: State, idle_timeout: float | None) -> float | None:
    """How many seconds the client has to do what is its turn in ``state``; None where it has all the time."""
    return {
        HEAD: HEAD_WITHIN,
        IDLE: REQUEST_WITHIN,
        RECEIVING: idle_timeout,  # between two pieces
        DISCARDING: idle_timeout,
        LINGERING: LINGER,
    }.get(state)
