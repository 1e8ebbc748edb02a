#!/usr/bin/env bash
# What surprises: WebhookEvent.verify of paypalrestsdk calls a function of pyOpenSSL that newer versions have not. It
# takes any error for a wrong signature, prints it, and returns False: with a new pyOpenSSL, which it asks for without
# an upper bound, every genuine delivery is rejected, and nothing but a line on the standard output tells why. Nothing
# of PayPal's or of one's own code has changed then, only a dependency.
#
# What a receiver should do: see a sender's genuine delivery rejected and look at what the library prints, before the
# webhook's id or the certificate is suspected; have a test that a signed delivery is let in, run with the versions that
# are deployed; and verify with a library that is kept up, such as cryptography.
#
# Measured with paypalrestsdk 1.13.3 beside pyOpenSSL 23.3.0 and 26.4.0 on CPython 3.11, with a certificate of an
# authority made here, served from the loopback. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/probe.py" <<'PYTHON'
import contextlib
import datetime
import io
import logging
import sys
import zlib
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import crypto
from paypalrestsdk.notifications import WebhookEvent

logging.captureWarnings(True)


def certificate(name, key, issuer=None, issuer_key=None):
    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(named(issuer or name), named(name), key.public_key(), x509.random_serial_number())
    day = datetime.timedelta(days=1)
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    made = builder.sign(issuer_key or key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


authority, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
root = certificate("an authority", authority)
served = certificate("messageverificationcerts.paypal.com", key, "an authority", authority)


class Certificates(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(served)))
        self.end_headers()
        self.wfile.write(served)

    def log_message(self, *_):
        pass


class Event(WebhookEvent):
    """Trusts the authority made here, as the library trusts the one of PayPal that it comes with."""

    @classmethod
    def _get_certificate_store(cls):
        store = crypto.X509Store()
        store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, root))
        return store


WebhookEvent._get_certificate_store = Event._get_certificate_store
server = ThreadingHTTPServer(("127.0.0.1", 0), Certificates)
Thread(target=server.serve_forever, daemon=True).start()
body = '{"id": "WH-7", "event_type": "PAYMENT.SALE.COMPLETED"}'
signed = f"t-1|2026-11-28T00:00:00Z|a-webhook|{zlib.crc32(body.encode())}".encode()
signature = b64encode(key.sign(signed, padding.PKCS1v15(), hashes.SHA256())).decode()
url = f"http://127.0.0.1:{server.server_port}/cert"
with contextlib.redirect_stdout(io.StringIO()) as printed:
    verified = Event.verify("t-1", "2026-11-28T00:00:00Z", "a-webhook", body, url, signature, "SHA256withRSA")
print(f"paypalrestsdk {version('paypalrestsdk')} with pyOpenSSL {version('pyOpenSSL')}: {verified}", end="")
print(f", printed: {printed.getvalue().strip() or 'nothing'}")
assert str(verified) == sys.argv[1]
PYTHON
for case in 23.3.0=True 26.4.0=False; do
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check paypalrestsdk==1.13.3 "pyOpenSSL==${case%%=*}"
    "$work/venv/bin/python" "$work/probe.py" "${case#*=}"
done
