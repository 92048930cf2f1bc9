// What every page does: notices close, grave acts ask once more, filters apply themselves, each submit carries its own id.

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-close], [data-print], [data-href]");
  if (!target) return;
  if (target.dataset.close !== undefined) target.closest("[role=alert]").remove();
  if (target.dataset.print !== undefined) print();
  if (target.dataset.href && !event.target.closest("a, button, input, label")) location.assign(target.dataset.href);
});

// A printed "3 min ago" says nothing without the time of printing.
addEventListener("beforeprint", () => {
  const time = document.getElementById("printed");
  const form = { dateStyle: "medium", timeStyle: "short", timeZone: document.body.dataset.zone };
  if (time) time.textContent = new Intl.DateTimeFormat(document.documentElement.lang, form).format(new Date());
});

document.addEventListener("change", (event) => {
  if (event.target.closest("form[data-auto]")) event.target.form.requestSubmit();
});

// An act that cannot be taken back asks once more, before anything else hears of the submit.
document.addEventListener("submit", (event) => {
  const asked = event.submitter?.dataset.sure;
  if (!asked || confirm(asked)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

// The submitter makes the id: a retry after a lost answer is harmless. The next submit of the same form is a new act.
document.addEventListener("submit", (event) => {
  const field = event.target.querySelector("input[name=submission_id]");
  if (field && !field.value) field.value = submissionId();
}, true);

function submissionId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // plain http beyond localhost has no randomUUID
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

// A lost answer must be retried under the same id, so only an answer of the server makes the form forget it.
document.addEventListener("htmx:after:request", (event) => {
  const field = event.target.querySelector?.("input[name=submission_id]");
  if (field) field.value = "";
});

document.addEventListener("htmx:error", (event) => {
  const words = document.getElementById("unsent");
  if (words && event.detail?.ctx?.status?.startsWith?.("error")) {
    document.getElementById("notices").append(words.content.cloneNode(true));
  }
});
