"use strict";

usePage("undo-email-change", {
  useLink: () => post("auth/undo-email-change", { token }),
  texts: {
    broken: "It has expired or was already used.",
    unsure: "An earlier attempt may have succeeded: look for an email with a link to set a new password.",
  },
});
