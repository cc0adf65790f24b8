"""QPay's errors: a code with a text for people, or what is wrong with each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sandbox.http import Response


class Meaning(NamedTuple):
    """The HTTP status of a code, and what QPay says with it."""

    status: int
    message: str


MEANINGS: Mapping[str, Meaning] = {
    "INVALID_BODY": Meaning(400, "Хүсэлтийн бие JSON обьект биш байна"),
    "INVOICE_PAID": Meaning(400, "Нэхэмжлэх төлөгдсөн байна"),
    "INVOICE_ALREADY_CANCELED": Meaning(400, "Нэхэмжлэх цуцлагдсан байна"),
    "PAYMENT_NOT_PAID": Meaning(400, "Төлбөр төлөгдөөгүй байна"),
    "PAYMENT_ALREADY_CANCELED": Meaning(400, "Төлбөр цуцлагдсан байна"),
    "PAYMENT_SETTLED": Meaning(400, "Төлбөрийн тооцоо хийгдсэн байна"),
    "NO_CREDENTIALS": Meaning(401, "Нэвтрэх эрхгүй байна"),
    "AUTHENTICATION_FAILED": Meaning(401, "Нэвтрэх нэр эсвэл нууц код тохирохгүй байна"),
    "PERMISSION_DENIED": Meaning(403, "Хандах эрхгүй байна"),
    "NOT_FOUND": Meaning(404, "Хуудас олдсонгүй"),
    "INVOICE_NOTFOUND": Meaning(422, "Нэхэмжлэх олдсонгүй"),
    "PAYMENT_NOTFOUND": Meaning(422, "Төлбөр олдсонгүй"),
    "TOO_MANY_REQUESTS": Meaning(429, "Хэт олон хүсэлт илгээсэн байна"),
    "SYSTEM_BUSY": Meaning(500, "Систем завгүй байна"),
}

#: What QPay says of a field, by the type of what is wrong with it.
FIELD_MESSAGES: Mapping[str, str] = {
    "REQUIRED": "Заавал бөглөнө",
    "UNKNOWN": "Тодорхойгүй талбар байна",
    "STRING": "Тэмдэгт мөр байх ёстой",
    "NUMBER": "Бүхэл тоо байх ёстой",
    "BOOLEAN": "Үнэн эсвэл худал байх ёстой",
    "OBJECT": "Обьект байх ёстой",
    "ARRAY": "Жагсаалт байх ёстой",
    "DATE": "Огноо байх ёстой",
    "URL": "Дуудах хаяг тохирохгүй байна",
    "ENUM": "Зөвшөөрөгдөөгүй утга байна",
    "MIN_NUMBER": "{limit} буюу түүнээс их байх ёстой",
    "MAX_NUMBER": "{limit}-ээс ихгүй байх ёстой",
    "MIN_LENGTH": "Урт нь {limit} буюу түүнээс их байх ёстой",
    "MAX_LENGTH": "Урт нь {limit}-ээс ихгүй байх ёстой",
}

#: What is wrong with each field: its type, and a text for people.
Problems = dict[str, dict[str, str]]


class Refusal(Exception):
    """An answer that is an error with a code, such as `INVOICE_PAID`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.status, self._message = MEANINGS[code]

    def response(self) -> Response:
        """The answer as QPay sends it."""
        return Response.json({"error": str(self), "message": self._message}, self.status)


class Invalid(Refusal):
    """An answer that says of each wrong field, by its name alone, what is wrong with it."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("INVALID_BODY")
        self.problems = problems

    def response(self) -> Response:
        """The answer as QPay sends it."""
        return Response.json({"error": self.problems}, self.status)


class Wrong(Exception):
    """What is wrong with one field: a type such as `MIN_NUMBER`, and the limit that it has."""

    def __init__(self, type: str, limit: int | None = None) -> None:
        super().__init__(type)
        self.problem = {"type": type, "message": FIELD_MESSAGES[type].format(limit=limit)}
