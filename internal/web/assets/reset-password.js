"use strict";

// What to say about an invalid password.
const passwordTexts = {
  required: "Enter a new password.",
  too_short: "The password must have at least " + password.minLength + " characters.",
  too_long: "The password must have at most 128 characters.",
};

usePage("reset-password", {
  useLink: () => post("auth/reset-password?token=" + encodeURIComponent(token), { password: password.value }),
  explain: (problem) => {
    const invalid = errorOf(problem, "/password");
    return passwordTexts[invalid?.code] ?? invalid?.detail;
  },
  texts: {
    broken: "It has expired, was already used, or was replaced by a newer one. Enter your email and we will send you a new link.",
    unsure: "An earlier attempt may have succeeded: try to log in with your new password. If that fails, enter your email and we will send you a new link.",
  },
});
offerLink("auth/forgot-password");
