"use strict";

usePage("confirm-email-change", {
  useLink: () => postPassword("auth/confirm-email-change"),
  explain: explainPassword,
  texts: {
    broken: "It has expired, was already used, was canceled, or was replaced by a newer one. Your email may have changed already: try to log in with the new one.",
    unsure: "An earlier attempt may have succeeded: try to log in with your new email.",
  },
});
