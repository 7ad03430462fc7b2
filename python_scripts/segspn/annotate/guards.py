"""Who may talk to the page's server: this machine's user, from the page itself.

Other programs of this machine do not know the token; pages of other sites, which a browser may be
lured to send here, have another Origin, and names that are made to lead here another Host.
"""

import hmac
import secrets

from flask import abort, request

HEADER = "X-Segspn-Token"


def new_token():
    return secrets.token_urlsafe(24)


class Guard:
    """Looks at every request to an address; refuses with 403."""

    def __init__(self, token, port):
        self._token = token.encode()
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}

    def check(self):
        """Ends a request that may not be: Flask's before_request."""
        if request.headers.get("Host", "") not in self._hosts:
            abort(403, "This address is not of this page.")
        if request.method not in ("GET", "HEAD") and (
                request.headers.get("Origin", "") not in self._origins):
            abort(403, "Only the page itself may write.")
        given = (request.args.get("token", "") if request.path == "/"
                 else request.headers.get(HEADER, ""))
        if not hmac.compare_digest(given.encode(), self._token):
            abort(403, "The key in this address is not that of the page. Take the address that "
                       "make annotate has printed last.")


def protect(response, policy):
    """Adds what a browser must know of every answer.  policy: the content security policy."""
    response.headers.update({
        "Cache-Control": "no-store", "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin"})
    return response
