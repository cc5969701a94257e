"""ca: authorities that say about revocation whatever a test wants, made by another library (python3-cryptography).

    root = Ca("Root")
    issuing = Ca("Issuing", root)
    leaf = issuing.issue("Budi")
    issuing.crl(number=7, start=-3600, end=+3600, revoked=[leaf])     DER
    issuing.ocsp(leaf, "revoked", start=-60, end=+3600)               DER

Times are seconds from now.
"""

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = 24 * 3600


def moment(seconds):
    """Seconds from now; a time is itself."""
    if isinstance(seconds, datetime.datetime):
        return seconds
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)
    return now + datetime.timedelta(seconds=seconds)


def name_of(common_name):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Demo"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def usage(*names):
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in names for name in every})


class Issued:
    """A certificate and its key."""

    def __init__(self, cert, key):
        self.cert = cert
        self.key = key

    @property
    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def sha256(self):
        return hashlib.sha256(self.der).hexdigest()


class Ca(Issued):
    """`above` None makes a root."""

    def __init__(self, common_name, above=None, end=5 * 365 * DAY):
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), (usage("key_cert_sign", "crl_sign"), True)]
        self.name = name_of(common_name)
        issuer = above.name if above else self.name
        super().__init__(build(self.name, issuer, key, above.key if above else key, extensions, end), key)

    def issue(self, common_name, ocsp_signing=False, urls=None, end=365 * DAY):
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.OCSP_SIGNING if ocsp_signing else ExtendedKeyUsageOID.EMAIL_PROTECTION
        extensions = [(x509.BasicConstraints(ca=False, path_length=None), True), (usage("digital_signature"), True),
                      (x509.ExtendedKeyUsage([purpose]), False)]
        if not ocsp_signing:
            extensions.append((x509.SubjectAlternativeName([x509.RFC822Name(common_name.lower() + "@kota.example")]), False))
        extensions += named_sources(urls) if urls else []
        return Issued(build(name_of(common_name), self.name, key, self.key, extensions, end), key)

    def crl(self, number=1, start=-3600, end=3600, revoked=(), extension=None, key=None, digest=None):
        """extension is one more, as (ExtensionType, critical)."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(moment(start)).next_update(moment(end))
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        if extension:
            builder = builder.add_extension(*extension)
        for issued in revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(
                issued.cert.serial_number).revocation_date(moment(start)).build())
        return builder.sign(key or self.key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def ocsp(self, issued, status="good", start=-60, end=3600, nonce=None, by=None, key=None, about=None):
        """Signed by the authority itself, or `by` a delegate; `key` signs in its place (a forgery)."""
        states = {"good": ocsp.OCSPCertStatus.GOOD, "revoked": ocsp.OCSPCertStatus.REVOKED, "unknown": ocsp.OCSPCertStatus.UNKNOWN}
        signer = by or self
        if key:  # under its name, but the library wants a certificate with the key that signs
            signer = Issued(build(self.name, self.name, key, key, [(x509.BasicConstraints(ca=True, path_length=None), True)], DAY), key)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=issued.cert, issuer=(about or self).cert, algorithm=hashes.SHA1(), cert_status=states[status],
            this_update=moment(start), next_update=moment(end) if end is not None else None,
            revocation_time=moment(start) if status == "revoked" else None, revocation_reason=None,
        ).responder_id(ocsp.OCSPResponderEncoding.NAME if key else ocsp.OCSPResponderEncoding.HASH, signer.cert)
        if by:
            builder = builder.certificates([by.cert])
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def named_sources(urls):
    """What a certificate itself says about where to ask."""
    return [(x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(urls["crl"])], None, None, None)]), False),
            (x509.AuthorityInformationAccess([x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.OCSP,
             x509.UniformResourceIdentifier(urls["ocsp"]))]), False)]


def build(subject, issuer, key, by, extensions, end):
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(moment(-DAY)).not_valid_after(moment(end))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by, hashes.SHA256())


def refusal():
    """An OCSP answer that answers nothing: tryLater."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(serialization.Encoding.DER)


def nonce_of(request):
    """The nonce of a request in DER, None without one."""
    for extension in ocsp.load_der_ocsp_request(request).extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            return extension.value.nonce
    return None
