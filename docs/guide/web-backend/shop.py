#!/usr/bin/env python3
"""A web backend whose users log in through tokenkeeper. Python's standard library is all it needs.

    TOKENKEEPER_HTTP_SOCKET=/run/tokenkeeper/http.sock SHOP_KEY=... python3 shop.py \
        --provider corp --public-url https://shop.example --api https://api.corp.example/me

It keeps no token and no session of its own: a signed cookie holds the reference of the tokenkeeper session, so that any
number of workers can serve the same users. Every token comes from the daemon at the moment it is needed.
"""

import argparse
import hashlib
import hmac
import html
import http.client
import http.server
import json
import os
import secrets
import socket
import urllib.parse
import urllib.request
from http.cookies import CookieError, SimpleCookie

SOCKET = os.environ.get("TOKENKEEPER_HTTP_SOCKET", "/run/tokenkeeper/http.sock")
# Signs our cookies. The same for all workers, and kept over restarts.
KEY = os.environ.get("SHOP_KEY", "").encode() or secrets.token_bytes(32)


class Problem(Exception):
    """What the daemon said no with (RFC 9457). `code` tells what to do next."""

    def __init__(self, body):
        super().__init__(body.get("detail", ""))
        self.code = body.get("code", "internal")
        self.detail = body.get("detail", "the daemon gave no reason")
        self.replaces = body.get("replaces")
        self.retry_after_ms = body.get("retry_after_ms")


class Daemon(http.client.HTTPConnection):
    """One connection to the daemon's HTTP socket."""

    def __init__(self):
        super().__init__("localhost", timeout=30)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def ask(path, body):
    """POSTs to the daemon and returns its answer. Every request is safe to repeat."""
    daemon = Daemon()
    try:
        daemon.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = daemon.getresponse()
        content = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Problem({"code": "try_later", "detail": f"tokenkeeper cannot be reached: {error}"}) from error
    finally:
        daemon.close()
    if answer.status != 200:
        raise Problem(content)
    return content


def begin_login(provider, redirect_uri, replaces=None):
    request = {"provider": provider, "redirect_uri": redirect_uri, "device": "web"}
    if replaces:
        request["replaces"] = replaces
    return ask("/v1/logins", request)


def complete_login(login_id, callback_query):
    return ask(f"/v1/logins/{login_id}/complete", {"callback_query": callback_query})


def access_token(session):
    # Valid for a minute at least, or a fifth of its life; {"min_valid": "5m"} would ask for more.
    return ask(f"/v1/sessions/{session}/token", {})["access_token"]


def log_out(session):
    return ask(f"/v1/sessions/{session}/logout", {})


def sign(value):
    return value + "." + hmac.new(KEY, value.encode(), hashlib.sha256).hexdigest()


def verified(signed):
    value, _, _ = (signed or "").rpartition(".")
    return value if value and hmac.compare_digest(sign(value).encode(), signed.encode()) else None


def is_reference(text):
    """Whether a text from a cookie may stand in the path of a request: references are letters and digits."""
    return bool(text) and text.isascii() and text.isalnum()


class Shop(http.server.BaseHTTPRequestHandler):
    options = None

    def do_GET(self):
        self.answer({"/": self.home, "/login": self.login, "/callback": self.callback, "/orders": self.orders})

    def do_POST(self):
        self.answer({"/logout": self.logout})

    def answer(self, pages):
        self.url = urllib.parse.urlsplit(self.path)
        page = pages.get(self.url.path)
        try:
            if page is None:
                return self.page(404, "There is no such page.")
            return page()
        except Problem as problem:
            return self.explain(problem)

    def home(self):
        session, name = self.who()
        if not session:
            return self.page(200, '<a id="login" href="/login">Log in</a>')
        return self.page(
            200,
            f'<p>Welcome, <b id="user">{html.escape(name)}</b>.</p><a id="orders" href="/orders">Your orders</a>'
            f'<form method="post" action="/logout"><input type="hidden" name="csrf" value="{sign("logout " + session)}">'
            '<button id="logout">Log out</button></form>',
        )

    def login(self, replaces=None):
        begun = begin_login(self.options.provider, self.redirect_uri(), replaces)
        # Only the browser that began can complete: that is what closes login CSRF.
        self.redirect(begun["authorize_url"], [self.cookie("login", begun["login_id"], path="/callback", age=600)])

    def callback(self):
        login_id = self.cookies().get("login")
        if not is_reference(login_id):
            return self.page(400, 'This browser began no login. <a id="login" href="/login">Log in</a>')
        # The whole query: the answer may be an error, and the daemon looks at `iss` and `state` too.
        done = complete_login(login_id, self.url.query)
        who = done["session"] + "|" + urllib.parse.quote(done["user"]["name"])
        return self.redirect("/", [self.cookie("who", sign(who)), self.cookie("login", "", path="/callback", age=0)])

    def orders(self):
        session, _ = self.who()
        if not session:
            return self.redirect("/login")
        try:
            token = access_token(session)
        except Problem as problem:
            if problem.code == "login_required":
                # The same session goes on after the login, under the same reference.
                return self.login(replaces=problem.replaces)
            if problem.code == "not_found":
                return self.redirect("/", [self.cookie("who", "", age=0)])
            raise
        request = urllib.request.Request(self.options.api, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return self.page(200, f'<pre id="answer">{html.escape(answer.read().decode())}</pre>')

    def logout(self):
        session, _ = self.who()
        form = urllib.parse.parse_qs(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 4096)).decode())
        if not session or verified(form.get("csrf", [""])[0]) != "logout " + session:
            return self.page(403, "This did not come from our page.")
        ended = log_out(session)
        return self.redirect(ended.get("end_session_url") or "/", [self.cookie("who", "", age=0)])

    def explain(self, problem):
        again = 'You can <a id="login" href="/login">log in again</a>.'
        if problem.code in ("login_failed", "login_required"):
            return self.page(403, f'<p id="problem">{html.escape(problem.detail)}</p>{again}')
        if problem.code == "try_later":
            wait = -(-(problem.retry_after_ms or 1000) // 1000)
            return self.page(503, '<p id="problem">Please try again in a moment.</p>', [("Retry-After", str(wait))])
        self.log_error("tokenkeeper: %s: %s", problem.code, problem.detail)
        return self.page(500, '<p id="problem">Something is wrong on our side.</p>')

    def who(self):
        """The tokenkeeper session of this browser and the name of its user, or two empty texts."""
        session, _, name = (verified(self.cookies().get("who")) or "").partition("|")
        return (session, urllib.parse.unquote(name)) if is_reference(session) else ("", "")

    def redirect_uri(self):
        return self.options.public_url.rstrip("/") + "/callback"

    def cookies(self):
        try:
            return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("Cookie", "")).items()}
        except CookieError:
            return {}

    def cookie(self, name, value, path="/", age=None):
        parts = [f'{name}="{value}"', f"Path={path}", "HttpOnly", "SameSite=Lax"]
        parts += ["Secure"] if self.options.public_url.startswith("https:") else []
        parts += [] if age is None else [f"Max-Age={age}"]
        return ("Set-Cookie", "; ".join(parts))

    def redirect(self, where, headers=()):
        self.page(303, "", [("Location", where), *headers])

    def page(self, status, content, headers=()):
        body = f"<!doctype html><title>Shop</title>{content}\n".encode()
        self.send_response(status)
        for name, value in [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"), *headers]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *arguments):
        # The query of a callback holds a code: only the path is logged.
        arguments = [str(argument).split("?", 1)[0] for argument in arguments]
        super().log_message(form, *arguments)


def main():
    parser = argparse.ArgumentParser(description="A shop whose users log in through tokenkeeper.")
    parser.add_argument("--provider", required=True, help="name of the provider in tokenkeeper's configuration")
    parser.add_argument("--public-url", help="where browsers reach this shop (default: where it listens)")
    parser.add_argument("--api", required=True, help="an API that takes the access token")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Shop)
    here = f"http://127.0.0.1:{server.server_port}"
    options.public_url = options.public_url or here
    Shop.options = options
    print("READY", here, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
