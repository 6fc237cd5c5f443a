import { byID, find } from "./page.js";

const views = ["logged-out", "second-factor", "logged-in"] as const;

/**
 * Shows one view. If it was hidden, earlier errors are removed and the focus moves to its first heading, so that screen
 * readers announce it.
 */
export function show(view: (typeof views)[number]): void {
  if (!byID(view).hidden) return;
  for (const other of views) byID(other).hidden = other !== view;
  for (const error of document.querySelectorAll(".error")) error.textContent = "";
  for (const field of document.querySelectorAll("input")) field.removeAttribute("aria-invalid");
  find(byID(view), "h2").focus();
}
