/** The conversations kept in this browser. */

import { fill, h, iconButton } from "../lib/dom.js";
import { TRASH } from "../lib/icons.js";
import { storedConversations } from "./conversation.js";
import { begin, current, kept, open, remove } from "./session.js";

/** The side of the frame that lists them; `shown` is called when one was opened. */
export function conversationList(shown) {
  const list = h("ul", { class: "conversations" });
  const show = () => fill(list, rows(shown));
  current.watch(show);
  kept.watch(show);
  return h(
    "aside",
    { class: "side", "aria-label": "Conversations" },
    h("button", { type: "button", class: "new", onclick: () => (begin(), shown()) }, "New chat"),
    list,
    h("p", { class: "fine" }, "Kept in this browser only."),
  );
}

function rows(shown) {
  const stored = storedConversations();
  if (!stored.length) return h("li", { class: "empty" }, "Chats appear here.");
  return stored.map((conversation) =>
    h(
      "li",
      { class: conversation.id === current.value.id ? "here" : null },
      h(
        "button",
        {
          type: "button",
          "aria-current": conversation.id === current.value.id ? "true" : null,
          onclick: () => (open(conversation), shown()),
        },
        conversation.title || "Untitled",
      ),
      iconButton(`Delete “${conversation.title}”`, TRASH, () => remove(conversation)),
    ),
  );
}

