"use strict";

usePage("verify-email", {
  useLink: () => postPassword("auth/verify-email"),
  explain: explainPassword,
  texts: {
    broken: "It has expired, was already used, or was replaced by a newer one. If your email is not verified yet, enter it and we will send you a new link.",
    unsure: "An earlier attempt may have succeeded, so your email may be verified. If it is not, enter it and we will send you a new link.",
  },
});
offerLink("auth/send-verification-email");
