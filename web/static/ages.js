// Ages beside values: <time data-age datetime="…">; grey once older than data-stale seconds.
import { serverNow } from "./live.js";

const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { style: "narrow", numeric: "always" });
const STEPS = [[86_400, "day"], [3_600, "hour"], [60, "minute"], [1, "second"]];

function age(seconds) {
  const [size, unit] = STEPS.find(([step]) => seconds >= step) ?? STEPS.at(-1);
  return words.format(-Math.floor(seconds / size), unit);
}

function refresh(root = document) {
  const now = serverNow();
  for (const time of root.querySelectorAll("time[data-age]")) {
    const seconds = Math.max(0, (now - new Date(time.dateTime)) / 1000);
    const text = age(seconds);
    if (time.textContent !== text) time.textContent = text;
    if (time.dataset.stale) time.closest("[data-row]")?.classList.toggle("stale", seconds > Number(time.dataset.stale));
  }
}

refresh();
setInterval(refresh, 1000);
document.addEventListener("rows", (event) => refresh(event.detail.target));
