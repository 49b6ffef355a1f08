"""The pages of the provider, and what it says about users: their name is also their subject."""

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import include, path
from django.utils.html import escape
from oauth2_provider.models import AccessToken, DeviceGrant, RefreshToken
from oauth2_provider.oauth2_validators import OAuth2Validator


class Validator(OAuth2Validator):
    oidc_claim_scope = None

    def get_additional_claims(self):
        return {
            "sub": lambda request: request.user.username,
            "preferred_username": lambda request: request.user.username,
        }

    def validate_refresh_token(self, refresh_token, client, request, *args, **kwargs):
        if super().validate_refresh_token(refresh_token, client, request, *args, **kwargs):
            return True
        spent = RefreshToken.objects.filter(token=refresh_token).first()
        if spent is not None:
            note_end(spent.user.username)
        return False


def note_end(name):
    with open(settings.ENDED, "a") as file:
        file.write(name + "\n")


FORM = """<!doctype html><form method="post" action="{action}"><input name="login"><button>Log in</button></form>"""


def log_in(request):
    """Believes whoever comes, and sends them on."""
    if request.method != "POST":
        return HttpResponse(FORM.format(action=escape("/login?" + request.GET.urlencode())))
    user, _ = User.objects.get_or_create(username=request.POST["login"])
    login(request, user)
    return HttpResponseRedirect(request.GET["next"])


def code(request):
    """Where a code is typed; here it comes with the address."""
    if request.method != "POST":
        return HttpResponse(FORM.format(action=escape("/code?" + request.GET.urlencode())))
    user, _ = User.objects.get_or_create(username=request.POST["login"])
    grant = DeviceGrant.objects.get(user_code=request.GET["user_code"], status=DeviceGrant.AUTHORIZATION_PENDING)
    grant.user, grant.status = user, DeviceGrant.AUTHORIZED
    grant.save()
    return HttpResponse("You may close this page.")


def alive(request):
    """Whether an API of this provider would accept the token."""
    token = AccessToken.objects.filter(token=request.GET["token"]).first()
    return HttpResponse(status=200 if token is not None and token.is_valid() else 401)


def end(request):
    """Ends all that a person granted, as an administrator of the provider does."""
    name = request.GET["user"]
    RefreshToken.objects.filter(user__username=name).delete()
    AccessToken.objects.filter(user__username=name).delete()
    note_end(name)
    return HttpResponse()


def ended(request):
    """Whose grants were ended or not continued, a line each."""
    try:
        with open(settings.ENDED) as file:
            return HttpResponse(file.read())
    except FileNotFoundError:
        return HttpResponse()


urlpatterns = [
    path("login", log_in),
    path("code", code),
    path("alive", alive),
    path("end", end),
    path("ended", ended),
    path("", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
