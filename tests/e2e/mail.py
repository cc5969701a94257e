"""mail: the messages that the tests and the demonstration send, as mail programs write them."""

import base64

from world import letter

TEXT = "Yth. Kepala Bagian,\r\n\r\nRapat diadakan Senin pukul 09.00.\r\n.\r\n-- \r\nBagian Umum\r\n"
ACCENTED = "Undangan «rapat» – Rp 1.000.000 – selesai ✓\r\nBaris kedua: é ü ñ 漢字\r\n"
LONG_LINE = "x" * 1500 + "\r\n"
PDF = bytes(range(256)) * 40

MIME = "MIME-Version: 1.0\r\n"
EIGHT_BIT = MIME + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"


def plain(sender, recipient, token):
    return letter(sender, recipient, "Undangan rapat", TEXT, token=token)


def eight_bit(sender, recipient, token):
    return letter(sender, recipient, "=?utf-8?q?Undangan_=C3=A9?=", ACCENTED, EIGHT_BIT, token)


def long_lines(sender, recipient, token):
    return letter(sender, recipient, "Baris panjang", LONG_LINE + TEXT, EIGHT_BIT, token)


def attachments(sender, recipient, token):
    """Text, a file in base64 and a file in 8 bits."""
    encoded = base64.encodebytes(PDF).decode().replace("\n", "\r\n")
    body = ("Ini pembukaan.\r\n--batas\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: 8bit\r\n\r\n{ACCENTED}\r\n--batas\r\n"
            "Content-Type: application/pdf; name=\"surat.pdf\"\r\nContent-Transfer-Encoding: base64\r\n"
            f"Content-Disposition: attachment; filename=\"surat.pdf\"\r\n\r\n{encoded}\r\n--batas\r\n"
            "Content-Type: text/csv; charset=utf-8; name=\"daftar.csv\"\r\nContent-Transfer-Encoding: 8bit\r\n"
            f"Content-Disposition: attachment; filename=\"daftar.csv\"\r\n\r\nnama;jumlah\r\nÉmile;3\r\n--batas--\r\n")
    return letter(sender, recipient, "Dengan lampiran", body,
                  MIME + "Content-Type: multipart/mixed; boundary=\"batas\"\r\n", token)


def nested(sender, recipient, token):
    """A forwarded message that holds 8-bit text: sealing may not touch what lies inside."""
    inner = letter("warga@example.org", sender, "Keluhan", ACCENTED, EIGHT_BIT, "di-dalam").decode()
    body = (f"--luar\r\nContent-Type: text/plain\r\n\r\nMohon ditindaklanjuti.\r\n--luar\r\n"
            f"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{inner}\r\n--luar--\r\n")
    return letter(sender, recipient, "Fwd: Keluhan", body,
                  MIME + "Content-Type: multipart/mixed; boundary=\"luar\"\r\n", token)


def nested_seven_bit(sender, recipient, token):
    inner = letter("warga@example.org", sender, "Keluhan", TEXT, token="di-dalam").decode()
    body = (f"--luar\r\nContent-Type: text/plain\r\n\r\nMohon ditindaklanjuti.\r\n--luar\r\n"
            f"Content-Type: message/rfc822\r\n\r\n{inner}\r\n--luar--\r\n")
    return letter(sender, recipient, "Fwd: Keluhan", body,
                  MIME + "Content-Type: multipart/mixed; boundary=\"luar\"\r\n", token)


KINDS = {"plain": plain, "8-bit": eight_bit, "long lines": long_lines, "attachments": attachments,
         "nested message, 8-bit": nested, "nested message, 7-bit": nested_seven_bit}


def leaves(parsed):
    """Type and decoded content of every leaf, in order; a message inside a message counts by its own leaves."""
    for part in parsed.walk():
        if not part.is_multipart():
            content = part.get_payload(decode=True) or b""
            yield part.get_content_type(), content.replace(b"\r\n", b"\n").rstrip(b"\n")
