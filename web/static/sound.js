// One tone per priority for as long as an alarm is unacknowledged, until silenced. A browser makes no sound before a
// click, so "enable sound" stands at the start.

const TONES = { critical: [880, 660, 880], high: [740, 740], medium: [587], low: [440] };
const EVERY_MS = 3_000;
const NOTE_S = 0.16;

const enable = document.getElementById("sound-enable");
const silence = document.getElementById("sound-silence");
const silenced = new Set();
let context = null;

const ringing = () => [...document.querySelectorAll("[data-ring]")].filter((row) => !silenced.has(row.id));

function play(notes) {
  notes.forEach((frequency, i) => {
    const start = context.currentTime + i * NOTE_S;
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0.12, start);
    volume.gain.exponentialRampToValueAtTime(0.001, start + NOTE_S);
    tone.connect(volume).connect(context.destination);
    tone.start(start);
    tone.stop(start + NOTE_S);
  });
}

function ring() {
  const rows = ringing();
  silence.disabled = rows.length === 0;
  if (!context || rows.length === 0) return;
  const most = Object.keys(TONES).find((priority) => rows.some((row) => row.dataset.ring === priority));
  play(TONES[most]);
}

if (enable && silence) {
  enable.addEventListener("click", () => {
    context ??= new AudioContext();
    enable.hidden = true;
    ring();
  });
  silence.addEventListener("click", () => {
    ringing().forEach((row) => silenced.add(row.id));
    silence.disabled = true;
  });
  document.addEventListener("rows", () => { silence.disabled = ringing().length === 0; });
  silence.disabled = ringing().length === 0;
  setInterval(ring, EVERY_MS);
}
