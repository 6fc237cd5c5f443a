import type { components, Session } from "@sesame-auth/client";
import { byID, clone, find, inWords, onSubmit, run, setText } from "./page.js";

type Passkey = components["schemas"]["Passkey"];

/** Whether the address of the page is a domain. Browsers have no passkeys for IP addresses. */
export const canUsePasskeys = !/^(\d+\.){3}\d+$|^\[/.test(location.hostname);

const error = byID("passkeys-error");

/** Shows the passkeys of the account. */
export async function loadPasskeys(session: Session): Promise<void> {
  const passkeys = await session.passkeys();
  byID("passkeys").replaceChildren(...passkeys.map((passkey) => entryOf(session, passkey)));
}

/** Shows the passkeys again, after a change, with what has happened. */
async function finish(session: Session, status: string): Promise<void> {
  await loadPasskeys(session);
  setText("passkeys-status", status);
  byID("passkeys-title").focus();
}

/** Returns the entry of a passkey in the list. */
function entryOf(session: Session, { id, name, createdAt, lastUsedAt }: Passkey): HTMLElement {
  const entry = clone("passkey");
  const [buttons, form] = [find(entry, ".buttons"), find<HTMLFormElement>(entry, "form")];
  const [rename, remove] = [find<HTMLButtonElement>(entry, ".rename"), find<HTMLButtonElement>(entry, ".remove")];
  const field = find<HTMLInputElement>(form, "input");
  find(entry, ".name").textContent = name;
  const used = lastUsedAt === null ? "never used" : `last used ${inWords(lastUsedAt)}`;
  find(entry, ".quiet").textContent = `Added ${inWords(createdAt)}, ${used}`;
  rename.ariaLabel = `Rename ${name}`;
  remove.ariaLabel = `Remove ${name}`;
  const edit = (isEditing: boolean) => {
    [buttons.hidden, form.hidden] = [isEditing, !isEditing];
    error.textContent = "";
  };
  rename.addEventListener("click", () => {
    edit(true);
    field.value = name;
    field.select();
  });
  find(form, ".cancel").addEventListener("click", () => {
    edit(false);
    rename.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const save = async () => {
      await session.renamePasskey(id, field.value.trim());
      await finish(session, "The passkey is renamed.");
    };
    void run(find(form, "button"), error, save, form);
  });
  remove.addEventListener("click", () => {
    void run(remove, error, async () => {
      await session.deletePasskey(id);
      await finish(session, "The passkey is removed. You can delete it on your device, too.");
    });
  });
  return entry;
}

/** Prepares the section. */
export function preparePasskeys(session: Session): void {
  for (const id of ["add-passkey", "passkey-log-in", "autofill"]) byID(id).hidden = !canUsePasskeys;
  byID("no-passkeys").hidden = canUsePasskeys;
  const there = new URL(location.href);
  there.hostname = "localhost";
  byID<HTMLAnchorElement>("localhost").href = there.href;
  const name = byID<HTMLInputElement>("passkey-name");
  onSubmit("add-passkey", async () => {
    const added = await session.registerPasskey(name.value.trim() || undefined);
    name.value = "";
    await finish(session, `The passkey “${added.name}” is added.`);
  });
}
