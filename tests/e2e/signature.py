"""signature: what a seal's signature was made over, read from the delivered bytes.

A walk over DER, enough to find the signed attributes of a SignedData (RFC 5652 5.3) and the public
key of a certificate (RFC 5280 4.1): the key agent's intent names the digests of both.
"""

import hashlib
import ssl

import judge

SEQUENCE, SET, CONTEXT_0 = 0x30, 0x31, 0xa0


def element(der, at):
    """Tag, start of the content, end."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7f
        length = int.from_bytes(der[start:start + size], "big")
        start += size
    return tag, start, start + length


def children(der, at=0):
    """The elements inside the one at `at`, as bytes with tag and length."""
    _tag, start, end = element(der, at)
    while start < end:
        _inner, _content, stop = element(der, start)
        yield der[start:stop]
        start = stop


def signed_attributes(cms):
    """As they are signed: with the tag of a SET."""
    _oid, wrapped = children(cms)
    [signed_data] = children(wrapped)
    [signer] = children(list(children(signed_data))[-1])
    attributes = next(field for field in list(children(signer))[3:] if field[0] == CONTEXT_0)
    return bytes([SET]) + attributes[1:]


def digests(message, folder):
    """SHA-256 and SHA-384 of what the signature of a delivered message covers."""
    files, why = judge.signature_files(folder, message)
    if files is None:
        raise ValueError(why)
    with open(files[0], "rb") as file:
        attributes = signed_attributes(file.read())
    return {hashlib.sha256(attributes).hexdigest(), hashlib.sha384(attributes).hexdigest()}


def spki_sha256(cert_file):
    with open(cert_file, encoding="ascii") as pem:
        der = ssl.PEM_cert_to_DER_cert(judge.first_pem(pem.read()))
    fields = list(children(next(children(der))))
    # [0] version, serial, algorithm, issuer, validity, subject, key
    return hashlib.sha256(fields[6]).hexdigest()
