#!/usr/bin/python3
"""key_mail.py agree PUBLIC: content keys wrapped for an EC key in every way of RFC 5753, by another program's hands (python3-cryptography).
key_mail.py cms FILE: what stands in a CMS message that openssl wrote to one recipient, as hexadecimal words.

A line of either: kdf wrap null ukm point wrapped content. null is 0 or 1, ukm "-" where there is none ("=" for an empty one). Behind
`cms`, content is the cipher's IV and the content encrypted with it, as iv:bytes.
"""

import itertools
import os
import struct
import sys

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

KDFS = {"sha1": hashes.SHA1, "sha224": hashes.SHA224, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
WRAPS = {16: "608648016503040105", 24: "608648016503040119", 32: "60864801650304012d"}
UKMS = {"-": None, "=": b"", "64": bytes(range(64)), "127": bytes(127), "512": bytes(512)}
# dhSinglePass-stdDH-*kdf-scheme (RFC 5753 7.1.4).
SCHEMES = {"2b81051086483f0002": "sha1", "2b8104010b00": "sha224", "2b8104010b01": "sha256", "2b8104010b02": "sha384",
           "2b8104010b03": "sha512"}


def element(tag, content):
    size = len(content)
    head = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + struct.pack(">H", size)
    return bytes([tag]) + head + content


def shared_info(wrap, null, ukm):
    algorithm = element(0x30, element(6, bytes.fromhex(WRAPS[wrap])) + (b"\x05\x00" if null else b""))
    entity = b"" if ukm is None else element(0xa0, element(4, ukm))
    return element(0x30, algorithm + entity + element(0xa2, element(4, struct.pack(">I", 8 * wrap))))


def agree(file):
    with open(file, "rb") as source:
        public = serialization.load_pem_public_key(source.read())
    forms = (serialization.PublicFormat.UncompressedPoint, serialization.PublicFormat.CompressedPoint)
    for form in forms:
        ours = ec.generate_private_key(public.curve)
        point = ours.public_key().public_bytes(serialization.Encoding.X962, form)
        secret = ours.exchange(ec.ECDH(), public)
        for kdf, wrap, null, (name, ukm), size in itertools.product(KDFS, WRAPS, (0, 1), UKMS.items(), (16, 24, 32)):
            content = os.urandom(size)
            key = X963KDF(KDFS[kdf](), wrap, shared_info(wrap, null, ukm)).derive(secret)
            shown = name if name in "-=" else ukm.hex()
            print(kdf, wrap, null, shown, point.hex(), keywrap.aes_key_wrap(key, content).hex(), content.hex())


def elements(content):
    at = 0
    while at < len(content):
        tag, size, begin = content[at], content[at + 1], at + 2
        if size & 0x80:
            begin += size & 0x7f
            size = int.from_bytes(content[at + 2:begin], "big")
        yield tag, content[begin:begin + size]
        at = begin + size


def inside(content, *tags):
    """Down through the first element of each tag."""
    for tag in tags:
        content = next(value for found, value in elements(content) if found == tag)
    return content


def cms(file):
    with open(file, "rb") as source:
        enveloped = inside(source.read(), 0x30, 0xa0, 0x30)
    agreed = inside(enveloped, 0x31, 0xa1)
    fields = list(elements(agreed))
    (_, scheme), (_, parameters) = elements(next(value for tag, value in fields if tag == 0x30))
    wrap_words = list(elements(parameters))
    kdf, = (name for oid, name in SCHEMES.items() if oid == scheme.hex())
    wrap, = (size for size, oid in WRAPS.items() if bytes.fromhex(oid) == wrap_words[0][1])
    keys = [value for tag, value in fields if tag == 0x30][1]
    ukm = [inside(value, 4) for tag, value in fields if tag == 0xa1]
    point = inside(inside(agreed, 0xa0, 0xa1), 3)[1:]
    content = list(elements([value for tag, value in elements(enveloped) if tag == 0x30][0]))
    iv = inside(content[1][1], 4)
    body = content[2][1] if content[2][0] == 0x80 else b"".join(value for _, value in elements(content[2][1]))
    print(kdf, wrap, int(len(wrap_words) > 1), ukm[0].hex() if ukm else "-", point.hex(), inside(keys, 0x30, 4).hex(), iv.hex() + ":" + body.hex())


if __name__ == "__main__":
    {"agree": agree, "cms": cms}[sys.argv[1]](sys.argv[2])
