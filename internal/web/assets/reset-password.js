"use strict";

// The sections of the page. One is shown at a time.
const choose = document.getElementById("choose");
const ask = document.getElementById("ask");
const sent = document.getElementById("sent");
const done = document.getElementById("done");

const password = document.getElementById("password");
const email = document.getElementById("email");
const reveal = document.getElementById("reveal");

let token = ""; // from the link; stored nowhere else
let unsure = false; // an attempt got no response, so it may have succeeded
let sending = false;

// takeToken reads the token from the fragment, which browsers do not send, and removes it from the address bar, so that
// it does not get into the history. A token in the query has been sent already, to every log on the way: it is ignored.
function takeToken() {
  token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  unsure = false;
  if (location.hash || location.search) history.replaceState(null, "", location.pathname);
}

// show shows a section and returns its heading. Give the heading the focus, so that screen readers announce it.
function show(section) {
  for (const other of [choose, ask, sent, done]) other.hidden = other !== section;
  const heading = section.querySelector("h1");
  document.title = heading.textContent + " · " + document.querySelector(".brand").textContent;
  return heading;
}

function start() {
  takeToken();
  password.value = "";
  return show(token ? choose : ask);
}

// showError shows why a form was refused and moves the focus to its field. A bad request marks the field as invalid.
function showError(field, problem, words) {
  field.closest("section").querySelector(".error").textContent = words;
  if (problem.status === 400) field.setAttribute("aria-invalid", "true");
  field.focus();
}

function clearError(field) {
  field.closest("section").querySelector(".error").textContent = "";
  field.removeAttribute("aria-invalid");
}

function inWords(seconds) {
  const [count, unit] = seconds < 100 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return count + " " + unit + (count === 1 ? "" : "s");
}

// post sends JSON. It returns null on success, and otherwise a problem document whose detail suits this page.
async function post(path, body) {
  let response, problem;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
      signal: AbortSignal.timeout(40000), // longer than the server takes
    });
    if (response.ok) return null;
    problem = await response.json();
  } catch {
    const offline = navigator.onLine ? "The server could not be reached." : "You seem to be offline.";
    return { code: "unavailable", detail: offline + " Your input is still here. Try again." };
  }
  switch (problem.code) {
    case "too_many_requests":
      problem.detail = "Too many attempts. Try again in " + inWords(Number(response.headers.get("Retry-After"))) + ".";
      break;
    case "unavailable":
      problem.detail = "The service is temporarily unavailable. Your input is still here. Try again in a moment.";
  }
  return problem;
}

// errorOf returns the first validation error of a property, or undefined.
function errorOf(problem, pointer) {
  return problem.errors?.find((one) => one.pointer === pointer);
}

// onSubmit calls send, once at a time. The button is not disabled meanwhile: it would lose the focus.
function onSubmit(section, field, send) {
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    const button = section.querySelector("button.main");
    sending = true;
    button.setAttribute("aria-disabled", "true");
    clearError(field);
    await send();
    button.removeAttribute("aria-disabled");
    sending = false;
  });
}

// What to say about an invalid password.
const passwordTexts = {
  required: "Enter a new password.",
  too_short: "The password must have at least " + password.minLength + " characters.",
  too_long: "The password must have at most 128 characters.",
};

function mask(masked) {
  password.type = masked ? "password" : "text";
  reveal.textContent = masked ? "Show" : "Hide";
  reveal.setAttribute("aria-label", reveal.textContent + " password");
}

onSubmit(choose, password, async () => {
  mask(true); // a browser may remember the input of a text field
  const problem = await post("auth/reset-password?token=" + encodeURIComponent(token), { password: password.value });
  if (!problem) {
    token = "";
    show(done).focus(); // the field keeps its value: a password manager reads it when the form disappears
  } else if (problem.code === "invalid_link" || problem.errors?.some((one) => one.parameter)) {
    token = "";
    password.value = "";
    document.getElementById("ask-title").textContent = "This link does not work";
    document.getElementById("ask-reason").textContent = unsure
      ? "An earlier attempt may have succeeded: try to log in with your new password. If that fails, enter your email and we will send you a new link."
      : "It has expired, was already used, or was replaced by a newer one. Enter your email and we will send you a new link.";
    show(ask).focus();
  } else {
    unsure ||= problem.code === "unavailable";
    const invalid = errorOf(problem, "/password");
    showError(password, problem, passwordTexts[invalid?.code] ?? invalid?.detail ?? problem.detail);
  }
});

onSubmit(ask, email, async () => {
  const problem = await post("auth/forgot-password", { email: email.value.trim() });
  if (!problem) {
    document.getElementById("sent-to").textContent = email.value.trim();
    show(sent).focus();
    return;
  }
  const invalid = errorOf(problem, "/email");
  showError(email, problem, invalid ? "Enter a valid email address, such as ada@example.com." : problem.detail);
});

reveal.addEventListener("click", () => mask(password.type === "text"));
document.getElementById("again").addEventListener("click", () => {
  show(ask);
  email.select();
});
// Opening another link in this window changes only the fragment.
addEventListener("hashchange", () => {
  if (location.hash) start().focus();
});

start();
