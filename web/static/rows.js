// Rows of live lists: morphed in place, so that focus, selection and a click that straddles the change survive.
// The same swap style serves pushed rows and the answers of forms: hx-swap="rows" hx-target="#alarms".

let morph = null;
const held = new Map(); // list → moves that wait while the pointer is over it

htmx.registerExtension("rows", {
  init: (api) => { morph = api.morph; },
  handle_swap: (style, target, fragment) => style === "rows" && put(target, fragment, { whole: false, gone: [] }),
});

export function receive(message) {
  const target = document.getElementById(message.list);
  if (!target) return;
  const template = document.createElement("template");
  template.innerHTML = message.html;
  put(target, template.content, message);
}

function put(target, fragment, { whole, gone }) {
  const rows = [...fragment.children];
  const changed = [];
  for (const row of rows) {
    const old = document.getElementById(row.id);
    if (old) {
      const moves = old.dataset.sort !== row.dataset.sort;
      replace(old, row);
      if (moves) later(target, row.id, () => place(target, old));
      changed.push(old);
    } else {
      later(target, row.id, () => { place(target, row); htmx.process(row); }, true);
      changed.push(row);
    }
  }
  const leaving = whole ? [...target.children].filter((row) => !rows.some((kept) => kept.id === row.id)).map((row) => row.id) : gone;
  for (const id of leaving) {
    later(target, id, () => document.getElementById(id)?.remove());
    document.getElementById(id)?.classList.add("leaving");
  }
  settle(target);
  return changed;
}

function replace(old, row) {
  const fragment = document.createDocumentFragment();
  fragment.append(row.cloneNode(true));
  morph(old, fragment, false);
  htmx.process(old);
}

function place(target, row) {
  const sort = row.dataset.sort;
  const next = [...target.children].find((other) => other !== row && other.dataset.sort > sort);
  if (next !== row.nextElementSibling || row.parentNode !== target) target.insertBefore(row, next ?? null);
}

// No row moves under the pointer: what would move waits, and a pill says how many are new.
function later(target, id, act, isNew = false) {
  if (!frozen(target)) {
    act();
    return;
  }
  if (!held.has(target)) held.set(target, new Map());
  held.get(target).set(id, { act, isNew });
}

function frozen(target) {
  return target.dataset.freeze !== undefined && target.matches(":hover");
}

function settle(target) {
  const waiting = [...(held.get(target)?.values() ?? [])].filter((one) => one.isNew).length;
  const pill = document.querySelector(`[data-pill="${target.id}"]`);
  if (pill) {
    pill.hidden = waiting === 0;
    pill.querySelector("[data-count]").textContent = waiting;
  }
  document.dispatchEvent(new CustomEvent("rows", { detail: { target } }));
}

function release(target) {
  const waiting = held.get(target);
  held.delete(target);
  waiting?.forEach(({ act }) => act());
  settle(target);
}

for (const target of document.querySelectorAll("[data-freeze]")) {
  target.addEventListener("pointerleave", () => release(target));
  document.querySelector(`[data-pill="${target.id}"]`)?.addEventListener("click", () => release(target));
}
