"""A second real OpenID provider, for tests: django-oauth-toolkit, which kills the old access token on refresh.

    python server.py [--access-life SECONDS] [--grace SECONDS] [--issuer URL] [--directory DIR]

Prints `READY ADDRESS` and serves on loopback until its standard input ends. Logs in whoever the form of its login page names.
Beside the provider there are GET /alive?token=T: 200 if it would accept the token, else 401; GET /end?user=U, which ends all that
a person granted; and GET /ended, which tells whose grants were ended or not continued. All it knows is in a temporary directory,
unless one is given: then the next one there goes on where this one ended. With --grace a spent refresh token is taken again for as
long. With --issuer it says that it is there, such as behind a proxy.
"""

import argparse
import os
import socketserver
import sys
import tempfile
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

try:
    import django
    import django.conf
    import oauth2_provider  # noqa: F401
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
except ImportError as error:
    sys.exit(f"{error}: run `scripts/prerequisites django` first (`make test` does)")

SECRET = "shop-secret-PCtkfPSzVYBU"


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def private_key(directory):
    path = os.path.join(directory, "key.pem")
    if not os.path.exists(path):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with open(path, "wb") as file:
            file.write(pem)
    with open(path) as file:
        return file.read()


def settings(directory, issuer, arguments):
    return dict(
        ENDED=os.path.join(directory, "ended"),
        ALLOWED_HOSTS=["127.0.0.1"],
        SECRET_KEY=os.urandom(32).hex(),
        ROOT_URLCONF="pages",
        USE_TZ=True,
        LOGIN_URL="/login",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.path.join(directory, "db.sqlite3"),
                "OPTIONS": {
                    "timeout": 20,
                    "transaction_mode": "IMMEDIATE",
                    # What is written outlives the process; that it does not outlive the machine harms no test.
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
                },
            }
        },
        # A slow hash protects nothing here, and costs each request to the token endpoint half a second.
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": issuer,
            "OIDC_RSA_PRIVATE_KEY": private_key(directory),
            "OAUTH2_VALIDATOR_CLASS": "pages.Validator",
            "ACCESS_TOKEN_EXPIRE_SECONDS": arguments.access_life,
            "REQUEST_APPROVAL_PROMPT": "auto",
            "ROTATE_REFRESH_TOKEN": True,
            "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": arguments.grace,
            "PKCE_REQUIRED": True,
            "ALLOW_LOCALHOST_LOOPBACK": True,
            "OAUTH_DEVICE_VERIFICATION_URI": f"{issuer}/code",
            "OAUTH_DEVICE_VERIFICATION_URI_COMPLETE": lambda code: f"{issuer}/code?user_code={code}",
            "DEVICE_FLOW_INTERVAL": 1,
            "SCOPES": {
                "openid": "who you are",
                "profile": "your name",
                "email": "your address",
                "reports": "reports",
            },
            "DEFAULT_SCOPES": ["openid"],
        },
    )


def register():
    from oauth2_provider.models import Application

    common = dict(client_secret=SECRET, skip_authorization=True, algorithm="RS256", client_type="confidential")
    for client_id, grant in [
        ("shop", "authorization-code"),
        ("jobs", "client-credentials"),
        ("phone", "urn:ietf:params:oauth:grant-type:device_code"),
    ]:
        Application.objects.create(
            name=client_id,
            client_id=client_id,
            authorization_grant_type=grant,
            redirect_uris="http://127.0.0.1/callback",  # at whatever port: RFC 8252 section 7.3
            **common,
        )


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--access-life", type=int, default=3600)
    arguments.add_argument("--grace", type=int, default=0)
    arguments.add_argument("--issuer")
    arguments.add_argument("--directory")
    arguments = arguments.parse_args()
    # Nothing but the way back to this host is insecure enough to be refused without this.
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

    if arguments.directory:
        serve(arguments, arguments.directory)
    else:
        with tempfile.TemporaryDirectory(prefix="tk-django-") as directory:
            serve(arguments, directory)


def serve(arguments, directory):
    server = make_server("127.0.0.1", 0, None, server_class=Server, handler_class=Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    is_new = not os.path.exists(os.path.join(directory, "registered"))
    django.conf.settings.configure(**settings(directory, arguments.issuer or address, arguments))
    django.setup()
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    if is_new:
        call_command("migrate", verbosity=0)
        register()
        open(os.path.join(directory, "registered"), "w").close()
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"READY {address}", flush=True)
    sys.stdin.read()
    server.shutdown()


main()
