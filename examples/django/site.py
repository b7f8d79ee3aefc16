#!/usr/bin/env python3
"""A Django site whose users are signed in to fxcast, too.

    SESSIONS=admin FXCAST_ADMIN=http://127.0.0.1:9090 ADMIN_TOKEN=… ./site.py 8000
    SESSIONS=redis REDIS_URL=redis://127.0.0.1:6379 ./site.py 8000

With the first, sessions are made by fxcast's admin API; with the second, by writing to Redis, which
needs the package redis. Both set fxcast's cookie, so the site and fxcast have to be reached under
one host name. In your own project you need the two classes of sessions and FxcastCookie.
"""

import hashlib
import json
import os
import secrets
import sys
import tempfile
import urllib.error
import urllib.request
from wsgiref.simple_server import make_server

import django
from django.conf import settings

COOKIE = "session_id"  # fxcast's SESSION_COOKIE_NAME; Django's own cookie has another name
TTL = 3600


class AdminSessions:
    """Makes and ends sessions of fxcast by its admin API."""

    def __init__(self) -> None:
        self.url, self.token = os.environ["FXCAST_ADMIN"], os.environ["ADMIN_TOKEN"]

    def create(self, user_id: str, role: str) -> str:
        return self._call("POST", "/api/v1/sessions", {"user_id": user_id, "role": role, "ttl_seconds": TTL})["token"]

    def end(self, token: str) -> None:
        try:
            self._call("DELETE", "/api/v1/redis/session/" + hashlib.sha256(token.encode()).hexdigest())
        except urllib.error.HTTPError as error:
            if error.code != 404:  # it has ended already
                raise

    def _call(self, method: str, path: str, body: object = None):
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(), method=method, headers={
            "Authorization": "Bearer " + self.token, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read() or b"null")


class RedisSessions:
    """Makes and ends sessions of fxcast in Redis; docs/sessions.md has the rules."""

    def __init__(self) -> None:
        import redis

        self.redis = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=5)

    def create(self, user_id: str, role: str) -> str:
        token = secrets.token_hex(32)
        sid = hashlib.sha256(token.encode()).hexdigest()
        self.redis.sadd(f"session:user:{user_id}", sid)  # first, so that the user can be signed out everywhere
        self.redis.set(f"session:{sid}", json.dumps({"user_id": user_id, "role": role}), ex=TTL)
        return token

    def end(self, token: str) -> None:
        sid = hashlib.sha256(token.encode()).hexdigest()
        self.redis.delete(f"session:{sid}")
        self.redis.publish("fx:control", json.dumps({"type": "session_revoked", "ids": [sid]}))  # closes sockets at once


class FxcastCookie:
    """Middleware: a user that signs in gets a session of fxcast, one that signs out loses it."""

    def __init__(self, get_response) -> None:
        self.get_response = get_response
        self.sessions = {"admin": AdminSessions, "redis": RedisSessions}[os.environ["SESSIONS"]]()

    def __call__(self, request):
        before = request.user.pk
        response = self.get_response(request)
        after = request.user.pk
        if before == after:
            return response
        if token := request.COOKIES.get(COOKIE):
            self.sessions.end(token)
            response.delete_cookie(COOKIE)
        if after is not None:
            role = "admin" if request.user.is_staff else "user"
            response.set_cookie(COOKIE, self.sessions.create(str(after), role), max_age=TTL, httponly=True, samesite="Lax",
                                secure=request.is_secure())
        return response


def configure(directory: str) -> None:
    settings.configure(
        SECRET_KEY=secrets.token_hex(32), ALLOWED_HOSTS=["127.0.0.1", "localhost"], ROOT_URLCONF=__name__, USE_TZ=True,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField", SESSION_COOKIE_NAME="django_session",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(directory, "db.sqlite3")}},
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                    "django.contrib.auth.middleware.AuthenticationMiddleware", __name__ + ".FxcastCookie"])
    django.setup()


def urls() -> list:
    from django.contrib.auth import authenticate, login, logout
    from django.http import HttpResponse, HttpResponseForbidden
    from django.middleware.csrf import get_token
    from django.urls import path
    from django.views.decorators.http import require_POST

    def form(request):
        return HttpResponse(get_token(request))  # in a real site the form of the sign-in, with this token

    @require_POST
    def sign_in(request):
        user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
        if user is None:
            return HttpResponseForbidden("wrong name or password")
        login(request, user)
        return HttpResponse("signed in")

    @require_POST
    def sign_out(request):
        logout(request)
        return HttpResponse("signed out")

    return [path("", form), path("sign-in", sign_in), path("sign-out", sign_out)]


def main(port: int) -> None:
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    call_command("migrate", verbosity=0)
    get_user_model().objects.create_user("ann", password="correct horse")
    with make_server("127.0.0.1", port, get_wsgi_application()) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        configure(directory)
        urlpatterns = urls()
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
