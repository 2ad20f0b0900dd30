/** A modal dialog, with a title and a way out. */

import { h, iconButton } from "./dom.js";
import { CLOSE } from "./icons.js";

/** Show a dialog that holds `children`; it is gone once closed. The result closes it. */
export function openDialog(title, ...children) {
  const id = `dialog-${Math.random().toString(36).slice(2)}`;
  const dialog = h("dialog", { "aria-labelledby": id });
  const close = () => dialog.close();
  dialog.append(
    h("div", { class: "dialog-head" }, h("h2", { id }, title), iconButton("Close", CLOSE, close)),
    h("div", { class: "dialog-body" }, ...children),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return close;
}
