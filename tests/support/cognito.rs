//! An emulated Amazon Cognito: `tests/provider/cognito.mjs`, as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use url::Url;

use super::http;
use super::wire::CALLBACK;

/// The one user of its pool.
pub(crate) const USER: &str = "alice@corp.example";
const PASSWORD: &str = "Correct-horse-7";

/// A running emulator. It ends with the test, however the test ends: it watches its standard input.
pub(crate) struct Cognito {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
    /// The user pool.
    pub(crate) pool: String,
    /// The client of the pool.
    pub(crate) client: String,
}

impl Cognito {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more options of `tests/provider/cognito.mjs`.
    pub(crate) fn start_with(more: &[&str]) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        assert!(
            dir.join("node_modules/cognito-local").exists(),
            "cognito-local is not installed: run `npm ci --prefix tests/provider` first (`make test` does), \
             or `make test-offline` for the tests that need no npm"
        );
        let mut command = Command::new("node");
        command.current_dir(dir).args(["cognito.mjs", "--callback", CALLBACK, "--user", USER, "--password", PASSWORD]);
        command.args(more);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot run node ({error}): install Node.js 20 or later"));
        let mut first = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("it prints UTF-8");
        let ready = first.trim_end().strip_prefix("READY ").and_then(|json| serde_json::from_str::<Value>(json).ok());
        let ready = ready.unwrap_or_else(|| panic!("Cognito did not start: run `node tests/provider/cognito.mjs`"));
        let text = |key: &str| ready[key].as_str().expect("it tells where it is").to_owned();
        Self { child, url: text("url"), pool: text("pool"), client: text("client") }
    }

    /// Logs the user in on the page that `authorize_url` leads to, and returns where the browser is sent back to.
    pub(crate) fn log_in(&self, authorize_url: &str) -> String {
        self.log_in_as(USER, authorize_url)
    }

    /// The same for a user of [`Self::add_user`].
    pub(crate) fn log_in_as(&self, user: &str, authorize_url: &str) -> String {
        let page = http::parse(authorize_url);
        let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        form.extend([("username".to_owned(), user.to_owned()), ("password".to_owned(), PASSWORD.to_owned())]);
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = http::post_form(&format!("{}/oauth2/authorize", self.url), &[], &form).expect("Cognito runs");
        let location = answer.headers_named("location").next().map(str::to_owned);
        location.unwrap_or_else(|| panic!("the login page sends nobody back: {answer:?}"))
    }

    /// Calls its API as an administrator does.
    pub(crate) fn call(&self, operation: &str, body: &Value) -> Value {
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        let headers = [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", target.as_str())];
        let url: Url = http::parse(&self.url);
        http::request("POST", &url, &headers, &body.to_string()).expect("Cognito runs").json()
    }

    /// One more user.
    pub(crate) fn add_user(&self, user: &str) {
        let mail = json!([{ "Name": "email", "Value": user }]);
        let new =
            json!({ "UserPoolId": self.pool, "Username": user, "MessageAction": "SUPPRESS", "UserAttributes": mail });
        self.call("AdminCreateUser", &new);
        let confirmed = json!({ "UserPoolId": self.pool, "Username": user, "Password": PASSWORD, "Permanent": true });
        self.call("AdminSetUserPassword", &confirmed);
    }

    /// Takes the user away, and with them all of their tokens.
    pub(crate) fn delete_user(&self) {
        self.delete(USER);
    }

    /// The same for a user of [`Self::add_user`].
    pub(crate) fn delete(&self, user: &str) {
        self.call("AdminDeleteUser", &json!({ "UserPoolId": self.pool, "Username": user }));
    }

    /// Whether there is such a user.
    pub(crate) fn knows(&self, user: &str) -> bool {
        self.call("AdminGetUser", &json!({ "UserPoolId": self.pool, "Username": user }))["Username"].is_string()
    }

    /// Whether its API would accept this token.
    pub(crate) fn accepts(&self, access_token: &str) -> bool {
        self.call("GetUser", &json!({ "AccessToken": access_token }))["Username"].is_string()
    }

    /// `[provider.NAME]` as the configuration describes its API, spoken to at `url`. It says that tokens live for an hour however
    /// long they do: `life` is where that is read, or nothing if the token itself is to be believed.
    pub(crate) fn described(&self, name: &str, url: &str, life: &str) -> String {
        let Self { url: issuer, pool, client, .. } = self;
        // The emulator's refresh begins a new authentication (auth_time), which Cognito does not do: no ID token is read there.
        format!(
            r#"
[provider.{name}]
kind = "custom"
client_id = "{client}"
redirect_uris = ["{CALLBACK}"]
user_name_claim = "email_of_the_api"
scopes = ["openid", "email"]
code_link = "{url}/oauth2/authorize?response_type=code&client_id={{client_id}}&redirect_uri={{redirect_uri}}&scope={{scope}}&state={{state}}&code_challenge={{code_challenge}}&code_challenge_method=S256"
callback = {{ code = "code", state = "state" }}
issuer = "{issuer}/{pool}"
jwks_uri = "{url}/{pool}/.well-known/jwks.json"

[provider.{name}.exchange]
url = "{url}/oauth2/token"
send = {{ grant_type = "authorization_code", client_id = "{{client_id}}", code = "{{code}}", redirect_uri = "{{redirect_uri}}", code_verifier = "{{code_verifier}}" }}
answer = {{ access_token = "/access_token", refresh_token = "/refresh_token", id_token = "/id_token"{life} }}

[provider.{name}.renew]
url = "{url}/"
body = "json"
headers = {{ X-Amz-Target = "AWSCognitoIdentityProviderService.InitiateAuth", Content-Type = "application/x-amz-json-1.1" }}
send = {{ AuthFlow = "REFRESH_TOKEN_AUTH", ClientId = "{{client_id}}", AuthParameters = {{ REFRESH_TOKEN = "{{refresh_token}}" }} }}
answer = {{ access_token = "/AuthenticationResult/AccessToken", expires_in = "/AuthenticationResult/ExpiresIn", error = "/__type", error_description = "/message" }}
refused = ["NotAuthorizedException"]

[provider.{name}.sign_out]
url = "{url}/"
body = "json"
headers = {{ X-Amz-Target = "AWSCognitoIdentityProviderService.RevokeToken", Content-Type = "application/x-amz-json-1.1" }}
send = {{ Token = "{{refresh_token}}", ClientId = "{{client_id}}" }}
answer = {{ error = "/__type", error_description = "/message" }}

[provider.{name}.user_info]
url = "{url}/"
body = "json"
headers = {{ X-Amz-Target = "AWSCognitoIdentityProviderService.GetUser", Content-Type = "application/x-amz-json-1.1" }}
send = {{ AccessToken = "{{access_token}}" }}
answer = {{ subject = "/Username", name = "/UserAttributes/0/Value", error = "/__type" }}
"#
        )
    }
}

impl Drop for Cognito {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
