"use strict";

// The sections of the page, of which one is shown.
const choose = document.getElementById("choose");
const ask = document.getElementById("ask");
const sent = document.getElementById("sent");
const done = document.getElementById("done");

const password = document.getElementById("password");
const email = document.getElementById("email");
const reveal = document.getElementById("reveal");

let token = ""; // the link's; kept nowhere else
let unsure = false; // a try had no answer, so it may have succeeded
let sending = false;

// The token stands in the fragment, which browsers send to nobody. It is taken out of the address bar, so that it
// stays out of the history. A token in the query has been sent already, to every log on the way: it is not taken.
function takeToken() {
  token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  unsure = false;
  if (location.hash || location.search) history.replaceState(null, "", location.pathname);
}

// show changes to a section. Its heading gets the focus, so that it is read out.
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

// blame says why a form did not work and goes to its field, which is at fault for what is a bad request.
function blame(field, problem, words) {
  field.closest("section").querySelector(".fault").textContent = words;
  if (problem.status === 400) field.setAttribute("aria-invalid", "true");
  field.focus();
}

function absolve(field) {
  field.closest("section").querySelector(".fault").textContent = "";
  field.removeAttribute("aria-invalid");
}

function inWords(seconds) {
  const [count, unit] = seconds < 100 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return count + " " + unit + (count === 1 ? "" : "s");
}

// post sends JSON. Its result is null for success, or a problem document, its detail in words for this page.
async function post(path, body) {
  let response, problem;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
      signal: AbortSignal.timeout(40000), // longer than the server takes in any case
    });
    if (response.ok) return null;
    problem = await response.json();
  } catch {
    const offline = navigator.onLine ? "The server could not be reached." : "You seem to be offline.";
    return { code: "unavailable", detail: offline + " What you typed is still here: try again." };
  }
  switch (problem.code) {
    case "too_many_requests":
      problem.detail = "There were too many attempts. Try again in " + inWords(Number(response.headers.get("Retry-After"))) + ".";
      break;
    case "unavailable":
      problem.detail = "The server cannot answer just now. What you typed is still here: try again in a moment.";
  }
  return problem;
}

// fault is what a problem says of a member of the body, if it does.
function fault(problem, pointer) {
  return problem.errors?.find((one) => one.pointer === pointer)?.message;
}

// onSubmit runs send once at a time. The button keeps the focus meanwhile, which disabling it would take away.
function onSubmit(section, field, send) {
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    const button = section.querySelector("button.main");
    sending = true;
    button.setAttribute("aria-disabled", "true");
    absolve(field);
    await send();
    button.removeAttribute("aria-disabled");
    sending = false;
  });
}

function mask(masked) {
  password.type = masked ? "password" : "text";
  reveal.textContent = masked ? "Show" : "Hide";
  reveal.setAttribute("aria-label", reveal.textContent + " password");
}

onSubmit(choose, password, async () => {
  mask(true); // a browser may remember what was typed into a field of text
  const problem = await post("auth/reset-password?token=" + encodeURIComponent(token), { password: password.value });
  if (!problem) {
    token = "";
    show(done).focus(); // the field keeps its value: a password manager reads it when the form goes away
  } else if (problem.code === "invalid_reset_token" || problem.errors?.some((one) => one.parameter)) {
    token = "";
    password.value = "";
    document.getElementById("ask-title").textContent = "This link does not work";
    document.getElementById("ask-reason").textContent = unsure
      ? "An earlier try may have succeeded: sign in with your new password. If that fails, enter your address, and you get a new link by mail."
      : "It has expired, was used before, or a newer one replaced it. Enter your address, and you get a new one by mail.";
    show(ask).focus();
  } else {
    unsure ||= problem.code === "unavailable";
    const words = fault(problem, "/password");
    blame(password, problem, words ? "The password " + words + "." : problem.detail);
  }
});

onSubmit(ask, email, async () => {
  const problem = await post("auth/forgot-password", { email: email.value.trim() });
  if (!problem) {
    document.getElementById("address").textContent = email.value.trim();
    show(sent).focus();
    return;
  }
  blame(email, problem, fault(problem, "/email") ? "This is no email address. Enter it like this: ada@example.com" : problem.detail);
});

reveal.addEventListener("click", () => mask(password.type === "text"));
document.getElementById("again").addEventListener("click", () => {
  show(ask);
  email.select();
});
// Another link that is opened in this window changes the fragment only.
addEventListener("hashchange", () => {
  if (location.hash) start().focus();
});

start();
