"""The QR code of an invoice: its text, its picture, and the links that open a bank's app with it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Mapping
from urllib.parse import quote
from uuid import UUID

#: The numeric code of the tugrik in ISO 4217.
MNT = "496"
#: The side of the picture, in pixels; a multiple of 8.
SIDE = 64
#: A few of the banks whose apps pay: the scheme of the app, its name, and its name in Mongolian.
BANKS: Mapping[str, tuple[str, str]] = {
    "khanbank": ("Khan bank", "Хаан банк"),
    "statebank": ("State bank", "Төрийн банк"),
    "golomtbank": ("Golomt bank", "Голомт банк"),
    "tdbbank": ("Trade and Development bank", "Худалдаа хөгжлийн банк"),
}


def text(invoice: str, amount: int) -> str:
    """The code as EMVCo writes it, a tag, a length and a value each, with the checksum at the end."""
    account = _field("00", "mn.qpay") + _field("01", UUID(invoice).hex)
    fields = {"00": "01", "01": "12", "26": account, "52": "5999", "53": MNT, "54": str(amount), "58": "MN"}
    fields |= {"59": "SANDBOX", "60": "ULAANBAATAR"}
    covered = "".join(_field(tag, value) for tag, value in fields.items()) + "6304"
    return f"{covered}{binascii.crc_hqx(covered.encode(), 0xFFFF):04X}"


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02}{value}"


def image(code: str) -> str:
    """A small PNG in base64; a picture made from the code, which no camera can read."""
    bits = hashlib.shake_256(code.encode()).digest(SIDE * SIDE // 8)
    width = SIDE // 8
    rows = b"".join(b"\0" + bits[start : start + width] for start in range(0, len(bits), width))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def links(code: str) -> list[dict[str, str]]:
    """The banks' apps, each with the link that opens it."""
    return [
        {
            "name": name,
            "description": description,
            "logo": f"https://qpay.mn/q/logo/{scheme}.png",
            "link": f"{scheme}://q?qPay_QRcode={quote(code, safe='')}",
        }
        for scheme, (name, description) in BANKS.items()
    ]
