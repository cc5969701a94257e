#!/usr/bin/python3
"""box.py open KEY NAME | make CERT NAME CHUNK: boxes (smime/box.h) by another program's hands; from stdin to stdout."""

import hashlib
import os
import struct
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"SEGELBOX1\n"
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def spki(public):
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()


def nonce(number, last):
    return bytes(7) + struct.pack(">IB", number, last)


def opened(box, key, name):
    if box[:10] != MAGIC or box[10:42] != spki(key.public_key()):
        raise ValueError("no box, or not for this key")
    begin = 44 + struct.unpack(">H", box[42:44])[0]
    cipher = AESGCM(key.decrypt(box[44:begin], OAEP))
    bound = hashlib.sha256(box[:begin] + name).digest()
    number, last, text = 0, False, b""
    while not last:
        word, = struct.unpack(">I", box[begin:begin + 4])
        last, size = word >> 31, (word & 0x7fffffff) + 16
        text += cipher.decrypt(nonce(number, last), box[begin + 4:begin + 4 + size], bound)
        begin, number = begin + 4 + size, number + 1
    if begin != len(box):
        raise ValueError("bytes behind the end")
    return text


def made(text, public, name, size):
    key = os.urandom(32)
    wrapped = public.encrypt(key, OAEP)
    box = MAGIC + spki(public) + struct.pack(">H", len(wrapped)) + wrapped
    cipher, bound = AESGCM(key), hashlib.sha256(box + name).digest()
    chunks = [text[at:at + size] for at in range(0, len(text), size)] or [b""]
    for number, chunk in enumerate(chunks):
        last = number == len(chunks) - 1
        box += struct.pack(">I", len(chunk) | last << 31) + cipher.encrypt(nonce(number, last), chunk, bound)
    return box


def main(verb, file, name, *more):
    with open(file, "rb") as pem:
        pem = pem.read()
    given = sys.stdin.buffer.read()
    if verb == "open":
        result = opened(given, serialization.load_pem_private_key(pem, None), name.encode())
    else:
        result = made(given, x509.load_pem_x509_certificate(pem).public_key(), name.encode(), int(more[0]))
    sys.stdout.buffer.write(result)


main(*sys.argv[1:])
