import { Problem } from "@sesame-auth/client";

/** Returns the element of the page with this id. */
export function byID<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found as T;
}

/** Returns the first element in another one that matches a selector. */
export function find<T extends Element = HTMLElement>(parent: ParentNode, selector: string): T {
  const found = parent.querySelector<T>(selector);
  if (!found) throw new Error(`the page has no element ${selector}`);
  return found;
}

/** Returns a copy of the only child of a template. */
export function clone(template: string): HTMLElement {
  return find<HTMLElement>(byID<HTMLTemplateElement>(template).content.cloneNode(true) as DocumentFragment, "*");
}

/** Replaces the content of an element by a text. */
export function setText(id: string, text: string): void {
  byID(id).textContent = text;
}

export function inWords(time: string | number): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** Returns what to say about an error. */
export function messageOf(reason: unknown): string {
  if (reason instanceof Problem) {
    if (reason.errors.length > 0) return reason.errors.map(validationMessage).join(" ");
    const wait = reason.retryAfter === undefined ? "" : ` (Retry-After: ${reason.retryAfter} seconds)`;
    return (reason.detail || `The server returned the status ${reason.status}.`) + wait;
  }
  if (reason instanceof DOMException) {
    if (reason.name === "NotAllowedError") return "The browser used no passkey: it was canceled, or took too long.";
    if (reason.name === "InvalidStateError") return "This device has a passkey of the account already.";
    return reason.message;
  }
  if (reason instanceof TypeError) return "The server could not be reached. Try again.";
  return String(reason);
}

function validationMessage({ pointer, parameter, detail }: Problem["errors"][number]): string {
  const name = parameter ?? pointer?.slice(1).replaceAll("/", " ");
  return name ? `${name[0]?.toUpperCase()}${name.slice(1)}: ${detail}` : detail;
}

/**
 * Runs what a button does, once at a time. If it fails, the error is shown and the focus moves to the field that it is
 * about, or to the button if there is none. The button is not disabled meanwhile: it would lose the focus.
 */
export async function run(
  button: HTMLElement,
  error: HTMLElement,
  action: () => Promise<void>,
  form?: HTMLFormElement,
): Promise<void> {
  if (button.ariaDisabled) return;
  button.ariaDisabled = "true";
  error.textContent = "";
  for (const field of form?.querySelectorAll("input") ?? []) field.removeAttribute("aria-invalid");
  try {
    await action();
  } catch (reason) {
    error.textContent = messageOf(reason);
    const field = form && fieldOf(form, reason);
    if (field && reason instanceof Problem && reason.status < 429) field.setAttribute("aria-invalid", "true");
    (field ?? button).focus();
  } finally {
    button.ariaDisabled = null;
  }
}

/** Returns the field of a form that an error is about: the first one, unless the error says more. */
function fieldOf(form: HTMLFormElement, reason: unknown): HTMLInputElement | null {
  const fields = [...form.querySelectorAll("input")];
  const names: (string | undefined)[] = [];
  if (reason instanceof Problem) {
    names.push(...reason.errors.map(({ pointer }) => pointer?.slice(1)));
    if (reason.code === "weak_password") names.push("password");
    if (reason.code === "email_taken") names.push("email");
    if (reason.code === "invalid_code") names.push("code");
  }
  return fields.find(({ name }) => names.includes(name)) ?? fields[0] ?? null;
}

/** Calls action when a form is sent, with a function that returns the value of a field. Errors are shown next to it. */
export function onSubmit(id: string, action: (value: (name: string) => string) => Promise<void>): void {
  const form = byID<HTMLFormElement>(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const value = (name: string) => find<HTMLInputElement>(form, `[name=${name}]`).value;
    void run(find(form, "button"), byID(id + "-error"), () => action(value), form);
  });
}

export function onClick(id: string, action: () => void): void {
  byID(id).addEventListener("click", action);
}
