"""Flask's answers, as the routes give them."""

from flask import Response

from communication.answer import Answer, Header
from contracts import codec


def message_response(message: object) -> Response:
    """Return a message of `contracts` as JSON."""
    return Response(codec.write(message), content_type="application/json")


def empty(status: int, *headers: Header) -> Response:
    """Return an answer without a body."""
    response = Response(status=status, headers=list(headers))
    del response.headers["Content-Type"]
    return response


def from_answer(answer: Answer) -> Response:
    """Return *answer* as Flask wants it."""
    return Response(answer.body, answer.status, answer.headers)
