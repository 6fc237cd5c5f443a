"use strict";

// The document names another server; here, requests go to the one that this page came from.
fetch("openapi.json").then((response) => response.json()).then((spec) => {
  spec.servers = [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
  SwaggerUIBundle({
    spec,
    dom_id: "#docs",
    displayOperationId: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    syntaxHighlight: { theme: "tomorrow-night" },
    validatorUrl: null, // it would send the document to another server
  });
});

// What Swagger UI lacks for screen readers and keyboards.
const docs = document.getElementById("docs");
new MutationObserver(() => {
  for (const button of docs.querySelectorAll(".copy-to-clipboard > button:not([aria-label])")) button.setAttribute("aria-label", "Copy");
  for (const text of docs.querySelectorAll("pre.microlight:not([tabindex])")) text.tabIndex = 0;
}).observe(docs, { childList: true, subtree: true });
