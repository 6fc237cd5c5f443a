"use strict";

// What the pages for emailed links have in common. A page has these sections and shows one at a time: "checking" while
// it asks the server about the link, "use" with a form that uses the link, "no-link" if there is no link that works,
// "done" afterwards and, if the page can request a new link, "sent".
const sections = document.querySelectorAll("main > section");
const [checking, use, noLink, sent, done] = ["checking", "use", "no-link", "sent", "done"].map((id) => document.getElementById(id));

const password = document.getElementById("password"); // null: the page has none
const email = document.getElementById("email"); // null: the page cannot request a new link
const reveal = document.getElementById("reveal");
const kept = password || email ? " Your input is still here." : "";

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

// show shows a section and moves the focus to its heading, so that screen readers announce it.
function show(section) {
  for (const other of sections) other.hidden = other !== section;
  const heading = section.querySelector("h1");
  document.title = heading.textContent + " · " + document.querySelector(".brand").textContent;
  heading.focus();
}

// showError shows why a form was refused and moves the focus to its field, or to its button if it has none.
function showError(section, words, isInvalid) {
  section.querySelector(".error").textContent = words;
  const field = section.querySelector("input");
  if (isInvalid) field?.setAttribute("aria-invalid", "true");
  (field ?? section.querySelector("button.main")).focus();
}

function clearError(section) {
  section.querySelector(".error").textContent = "";
  section.querySelector("input")?.removeAttribute("aria-invalid");
}

function inWords(seconds) {
  const [count, unit] = seconds < 100 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return count + " " + unit + (count === 1 ? "" : "s");
}

// post sends JSON. It returns the body of a successful response, or else a problem document whose detail suits the page.
async function post(path, content) {
  let response, body;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(content),
      credentials: "omit",
      signal: AbortSignal.timeout(40000), // longer than the server takes
    });
    body = await response.json();
  } catch {
    const offline = navigator.onLine ? "The server could not be reached." : "You seem to be offline.";
    return { problem: { code: "unavailable", detail: offline + kept + " Try again." } };
  }
  if (response.ok) return { body };
  const problem = body;
  switch (problem.code) {
    case "too_many_requests":
      problem.detail = "Too many attempts. Try again in " + inWords(Number(response.headers.get("Retry-After"))) + ".";
      break;
    case "unavailable":
      problem.detail = "The service is temporarily unavailable." + kept + " Try again in a moment.";
  }
  return { problem };
}

// errorOf returns the first validation error of a property, or undefined.
function errorOf(problem, pointer) {
  return problem.errors?.find((one) => one.pointer === pointer);
}

// isBrokenLink reports whether the server refused the token, or did not even read it because it cannot be one.
function isBrokenLink(problem) {
  return problem.code === "invalid_link" || !!problem.errors?.some((one) => one.parameter === "token" || one.pointer === "/token");
}

// onSubmit calls send, once at a time. The button is not disabled meanwhile: it would lose the focus.
function onSubmit(section, send) {
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    const button = section.querySelector("button.main");
    sending = true;
    button.setAttribute("aria-disabled", "true");
    clearError(section);
    await send();
    button.removeAttribute("aria-disabled");
    sending = false;
  });
}

// A browser may remember the input of a text field: mask the password before a form is sent.
function mask(masked) {
  password.type = masked ? "password" : "text";
  reveal.textContent = masked ? "Show" : "Hide";
  reveal.setAttribute("aria-label", reveal.textContent + " password");
}

reveal?.addEventListener("click", () => mask(password.type === "text"));

// usePage runs the page for links of a purpose. useLink sends the token and returns what post returned. explain returns
// what to say about a problem, or undefined to show its detail. texts are the reasons to show when a link does not work:
// broken and, if an earlier attempt may have succeeded, unsure.
function usePage(purpose, { useLink, explain, texts }) {
  const noLinkTitle = document.getElementById("no-link-title");
  const noLinkReason = document.getElementById("no-link-reason");
  const withoutLink = [noLinkTitle.textContent, noLinkReason.textContent];

  function showNoLink(title, reason) {
    token = "";
    if (password) password.value = "";
    noLinkTitle.textContent = title;
    noLinkReason.textContent = reason;
    show(noLink);
  }

  // start asks the server about the link, which does not use it up. If that fails, the page shows its form anyway: using
  // the link will show the same problem, or none.
  async function start() {
    takeToken();
    if (password) password.value = "";
    if (!token) return showNoLink(...withoutLink);
    show(checking);
    const checked = token;
    const { body, problem } = await post("auth/check-email-link", { token });
    if (token !== checked) return; // another link was opened meanwhile
    if (problem && isBrokenLink(problem)) return showNoLink("This link does not work", texts.broken);
    if (body && body.purpose !== purpose) return openOther(body.purpose);
    show(use);
  }

  // openOther opens the page that a link is for.
  function openOther(other) {
    if (!["reset-password", "verify-email", "confirm-email-change", "undo-email-change"].includes(other)) {
      return showNoLink("This link does not work", texts.broken);
    }
    location.replace(other + "#token=" + encodeURIComponent(token));
  }

  onSubmit(use, async () => {
    if (password) mask(true);
    const { problem } = await useLink();
    if (!problem) {
      token = "";
      show(done); // the field keeps its value: a password manager reads it when the form disappears
    } else if (isBrokenLink(problem)) {
      showNoLink("This link does not work", unsure ? texts.unsure : texts.broken);
    } else {
      unsure ||= problem.code === "unavailable";
      const isInvalid = problem.status === 400 || problem.code === "incorrect_password";
      showError(use, explain?.(problem) ?? problem.detail, isInvalid);
    }
  });

  // Opening another link in this window changes only the fragment.
  addEventListener("hashchange", () => {
    if (location.hash) start();
  });
  start();
}

// postPassword sends the token and the password of the account, unless the field is empty.
function postPassword(path) {
  if (!password.value) return { problem: { status: 400, detail: "Enter the password of your account." } };
  return post(path, { token, password: password.value });
}

// explainPassword says that the password of the account is incorrect.
function explainPassword(problem) {
  return problem.code === "incorrect_password" ? "The password is incorrect. The link still works: try again." : undefined;
}

// offerLink lets the user request a new link.
function offerLink(path) {
  onSubmit(noLink, async () => {
    const { problem } = await post(path, { email: email.value.trim() });
    if (!problem) {
      document.getElementById("sent-to").textContent = email.value.trim();
      show(sent);
      return;
    }
    const isInvalid = !!errorOf(problem, "/email");
    showError(noLink, isInvalid ? "Enter a valid email address, such as ada@example.com." : problem.detail, isInvalid);
  });
  document.getElementById("again").addEventListener("click", () => {
    show(noLink);
    email.select();
  });
}
