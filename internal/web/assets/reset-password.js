"use strict";

// The token stands in the fragment, which browsers send to nobody. It is taken out of the address bar, so
// that it stays out of the history too.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname);

const form = document.getElementById("reset");
const message = document.getElementById("message");

if (!token) {
  form.hidden = true;
  message.textContent = "This link is not complete. Open the one in the mail again.";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const response = await fetch("auth/reset-password?token=" + encodeURIComponent(token), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ password: form.password.value }),
    });
    const answer = await response.json();
    if (response.ok) {
      form.hidden = true;
      message.textContent = "Your password is set, and every device was logged out. You can log in with it now.";
      return;
    }
    message.textContent = answer.errors ? "The password " + answer.errors[0].message + "." : answer.detail;
  } catch {
    message.textContent = "The server could not be reached. Try again.";
  }
  button.disabled = false;
});
