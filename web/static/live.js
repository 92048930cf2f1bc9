// The page's one socket: all rows on connect, then changes; the banner says at once when it is cut.
import { receive } from "./rows.js";

const SILENT_MS = 12_500; // two and a half heartbeats
const RETRY_FIRST_MS = 300;
const RETRY_MOST_MS = 10_000;
const SIGN_IN_NEEDED = 4401;
const NOT_ALLOWED = 4403;
const RIGHTS_CHANGED = 4409;

const banner = document.getElementById("lost");
const lists = [...document.querySelectorAll("[data-live]")].map((list) => list.dataset.live);
let retryMs = RETRY_FIRST_MS;
let heardAt = Date.now();
let socket = null;
let skewMs = 0;

export const serverNow = () => Date.now() + skewMs;

function connect() {
  const address = new URL("/live", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  for (const list of lists) address.searchParams.append("list", list);
  const mine = new WebSocket(address);
  socket = mine;
  mine.addEventListener("message", (event) => mine === socket && hear(JSON.parse(event.data)));
  mine.addEventListener("close", (event) => mine === socket && lose(event.code));
}

function hear(message) {
  heardAt = Date.now();
  skewMs = new Date(message.now).getTime() - heardAt;
  retryMs = RETRY_FIRST_MS;
  banner.hidden = true;
  document.body.dataset.link = "up";
  document.body.classList.remove("lost");
  if (message.list) receive(message);
}

function lose(code) {
  socket = null;
  if (code === SIGN_IN_NEEDED) {
    location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
    return;
  }
  if (code === RIGHTS_CHANGED) {
    location.reload();
    return;
  }
  if (code === NOT_ALLOWED) return;
  tell();
  const jittered = retryMs * (0.5 + Math.random());
  retryMs = Math.min(retryMs * 2, RETRY_MOST_MS);
  setTimeout(connect, jittered);
}

function tell() {
  if (!banner.hidden) return;
  const time = banner.querySelector("time");
  time.textContent = new Intl.DateTimeFormat(document.documentElement.lang, {
    dateStyle: "short", timeStyle: "medium", timeZone: document.body.dataset.zone,
  }).format(new Date(heardAt + skewMs));
  banner.hidden = false;
  document.body.dataset.link = "down";
  document.body.classList.add("lost");
}

if (lists.length) {
  connect();
  setInterval(() => {
    if (socket && Date.now() - heardAt > SILENT_MS) {
      const old = socket;
      socket = null;
      old.close();
      lose(0);
    }
  }, 1000);
  addEventListener("offline", () => socket && tell());
  // Signing out ends the socket before its answer is here; that answer leads to the door, and clears what is kept.
  addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") !== "/sign-out") return;
    const old = socket;
    socket = null;
    old?.close();
  });
}
