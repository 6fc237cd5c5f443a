"use strict";

// The contract names a server of its own; here, requests go to the one that this page came from.
fetch("openapi.json").then((response) => response.json()).then((spec) => {
  spec.servers = [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
  SwaggerUIBundle({
    spec,
    dom_id: "#docs",
    displayOperationId: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    syntaxHighlight: { theme: "tomorrow-night" },
    validatorUrl: null, // it would send the contract elsewhere
  });
});

// What Swagger UI leaves out for those who hear the page, or have no mouse.
const docs = document.getElementById("docs");
new MutationObserver(() => {
  for (const button of docs.querySelectorAll(".copy-to-clipboard > button:not([aria-label])")) button.setAttribute("aria-label", "Copy");
  for (const text of docs.querySelectorAll("pre.microlight:not([tabindex])")) text.tabIndex = 0;
}).observe(docs, { childList: true, subtree: true });
