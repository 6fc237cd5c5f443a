"use strict";

const docs = document.getElementById("docs");
const dialog = document.getElementById("dialog");
const email = document.getElementById("email");
const password = document.getElementById("password");
const code = document.getElementById("code");
const error = document.getElementById("log-in-error");
const logInButton = document.getElementById("log-in");
const logOutButton = document.getElementById("log-out");

let ui; // Swagger UI
let scheme; // the name of the security scheme for access tokens
let loginToken = ""; // of a login that needs a code
let refreshToken = ""; // of the session; stored nowhere else
let expiry; // a timer

// The document names another server; here, requests go to the one that this page came from.
fetch("openapi.json").then((response) => response.json()).then((spec) => {
  spec.servers = [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
  scheme = Object.entries(spec.components.securitySchemes).find(([, one]) => one.scheme === "bearer")[0];
  ui = SwaggerUIBundle({
    spec,
    dom_id: "#docs",
    displayOperationId: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    syntaxHighlight: { theme: "tomorrow-night" },
    validatorUrl: null, // it would send the document to another server
  });
}).catch(() => {
  docs.textContent = "The API documentation could not be loaded. Reload this page to try again.";
});

// What Swagger UI lacks for screen readers and keyboards.
new MutationObserver(() => {
  for (const button of docs.querySelectorAll(".copy-to-clipboard > button:not([aria-label])")) button.setAttribute("aria-label", "Copy");
  for (const text of docs.querySelectorAll("pre.microlight:not([tabindex])")) text.tabIndex = 0;
}).observe(docs, { childList: true, subtree: true });

function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    credentials: "omit",
    signal: AbortSignal.timeout(40000), // longer than the server takes
  });
}

// showSession shows who is logged in, or the button to log in.
function showSession(user) {
  document.getElementById("session").hidden = logOutButton.hidden = user === "";
  document.getElementById("session-email").textContent = user;
  logInButton.hidden = user !== "";
  (user ? logOutButton : logInButton).focus();
}

// askForCode shows the field for the code of a second factor, or the others if there is no login token.
function askForCode(token) {
  loginToken = token;
  document.getElementById("password-step").hidden = token !== "";
  document.getElementById("code-step").hidden = token === "";
  code.value = "";
}

// logIn calls the login operation, or completes the login with a code. It returns what to say if that
// fails or if a code is needed, or "".
async function logIn() {
  if (loginToken ? !code.value : !email.value.trim() || !password.value) {
    return loginToken ? "Enter the code." : "Enter your email and password.";
  }
  try {
    const response = loginToken
      ? await post("auth/login/second-factor", { loginToken, code: code.value })
      : await post("auth/login", { email: email.value.trim(), password: password.value });
    const body = await response.json();
    if (body.code === "second_factor_required") askForCode(body.loginToken);
    if (body.code === "invalid_login_token") askForCode("");
    if (!response.ok) return body.code === "validation_failed" ? "Enter a valid email and password." : body.detail;
    ui.preauthorizeApiKey(scheme, body.accessToken);
    refreshToken = body.refreshToken;
    expiry = setTimeout(logOut, body.expiresIn * 1000);
    return "";
  } catch {
    return "The server could not be reached. Try again.";
  }
}

// logOut forgets the tokens and revokes the session.
function logOut() {
  clearTimeout(expiry);
  ui.authActions.logout([scheme]);
  post("auth/logout", { refreshToken }).catch(() => {}); // otherwise the session expires by itself
  refreshToken = "";
  showSession("");
}

let sending = false;
dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  sending = true;
  error.textContent = "";
  error.textContent = await logIn();
  sending = false;
  if (error.textContent) {
    (loginToken ? code : password).select();
    return;
  }
  password.value = "";
  dialog.close();
  showSession(email.value.trim());
});
logInButton.addEventListener("click", () => dialog.showModal());
logOutButton.addEventListener("click", logOut);
document.getElementById("cancel").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  password.value = error.textContent = "";
  askForCode("");
});
