// What pages do when script runs: times in the reader's zone, a live start, copying a token.
// Everything works without it, by forms and refresh.

const html = document.documentElement;
// The language of the page, with the reader's own country where it is the same language.
const locale = navigator.languages.find((tag) => tag.split("-")[0] === html.lang) ?? html.lang;
const format = (options) => new Intl.DateTimeFormat(locale, options);
// The hours of a day are counted through, in every language: 21:46 is not mistaken for the morning.
const hours = { hour: "2-digit", hourCycle: "h23" };
const clock = format({ ...hours, minute: "2-digit" });
const exactClock = format({ ...hours, minute: "2-digit", second: "2-digit" });
const sameYear = format({ weekday: "short", day: "numeric", month: "short" });
const otherYear = format({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const exact = format({ dateStyle: "full", timeStyle: "long", hourCycle: "h23" });
const nearDay = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

function dayWords(at) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const now = new Date();
  const days = Math.round((midnight(at) - midnight(now)) / 86_400_000);
  if (Math.abs(days) <= 1) return nearDay.format(days, "day");
  return (at.getFullYear() === now.getFullYear() ? sameYear : otherYear).format(at);
}

function localise(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  element.title = exact.format(at);
  element.textContent = element.dataset.style === "clock"
    ? exactClock.format(at)
    : `${dayWords(at)}, ${clock.format(at)}`;
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const and = (rest, unit) => (rest ? ` ${rest} ${unit}` : "");
  if (minutes < 1) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min${and(seconds % 60, "s")}`;
  return `${Math.floor(minutes / 60)} h${and(minutes % 60, "min")}`;
}

// What a form had as its answer is not sent again: such a page names a link.
function loadAgain(root) {
  if (root.dataset.lookAt) location.replace(root.dataset.lookAt);
  else location.reload();
}

// Loads the page again as soon as the hub answers; tells the reader while it doesn't.
// The page that comes knows what happened: it may lead to the server or show a failure.
function lookAgain(root, wait) {
  setTimeout(async () => {
    try {
      const answer = await fetch(root.dataset.alive, {
        cache: "no-store",
        signal: AbortSignal.timeout(10_000),
      });
      if (answer.status >= 500) throw new Error("the hub is not well");
      loadAgain(root);
    } catch {
      root.querySelector("[data-lost]").hidden = false;
      lookAgain(root, Math.min(wait * 1.5, 15_000));
    }
  }, wait);
}

function watchStart(root) {
  const bar = root.querySelector("progress");
  const lost = root.querySelector("[data-lost]");
  const list = document.querySelector("[data-steps]");
  const elapsed = root.querySelector("[data-elapsed]");
  const waiting = root.querySelector("[data-waiting]");
  const begun = Date.now() - Number(elapsed.dataset.elapsed) * 1000;
  const timer = setInterval(() => {
    elapsed.textContent = duration(Math.max(0, Math.round((Date.now() - begun) / 1000)));
  }, 1000);

  // A stream starts with the first step each time: what the page has is left out.
  const second = (at) => Math.floor(at / 1000);
  const shown = new Set();
  for (const item of list.children) {
    const message = item.lastElementChild.textContent;
    shown.add(message).add(`${second(Date.parse(item.querySelector("time").dateTime))} ${message}`);
  }

  function show({ at, message: english, words: own }) {
    const message = own ?? english;
    const key = at === undefined ? message : `${second(at)} ${message}`;
    if (!message || shown.has(key)) return;
    shown.add(key).add(message);
    const time = document.createElement("time");
    time.dateTime = new Date(at ?? Date.now()).toISOString();
    time.dataset.style = "clock";
    localise(time);
    const words = document.createElement("span");
    words.textContent = message;
    const item = document.createElement("li");
    item.append(time, " ", words);
    list.append(item);
  }

  // The place in line changes while one waits; the other steps stay.
  function showPlace({ place, estimate, own_first: ownFirst, held, again }) {
    const { next, place: pattern, own, soon, full, site, room, trouble, maintenance } = waiting.dataset;
    const number = new Intl.NumberFormat(html.lang).format(place);
    let words = place === 1 ? next : pattern.replace("#", number);
    if (ownFirst) words = own;
    if (held === "full") words = full.replace("#", number);
    if (held === "site") words = site.replace("#", number);
    if (held === "maintenance") words = maintenance;
    if (held === "room") words = room.replace("#", number);
    if (held === "trouble") words = trouble.replace("#", duration(again));
    if (typeof estimate === "number") words += ` ${soon.replace("#", duration(estimate))}`;
    // Said again only when it is news: it is read out.
    if (waiting.textContent !== words) waiting.textContent = words;
    waiting.hidden = false;
  }

  const source = new EventSource(root.dataset.events);
  const finish = () => {
    source.close();
    clearInterval(timer);
  };
  source.onopen = () => { lost.hidden = true; };
  source.onmessage = (event) => {
    let step;
    try {
      step = JSON.parse(event.data);
    } catch {
      return;
    }
    bar.value = Math.max(bar.value, Number(step.progress) || 0);
    if (typeof step.place === "number") {
      showPlace(step);
      return;
    }
    if (Number(step.progress) > 0) waiting.hidden = true;
    show(step);
    if (step.ready) {
      finish();
      location.replace(root.dataset.url);
    } else if (step.failed) {
      finish();
      location.reload();
    }
  };
  source.onerror = () => {
    lost.hidden = false;
    // The browser connects again by itself, unless the answer was a refusal.
    if (source.readyState !== EventSource.CLOSED) return;
    finish();
    lookAgain(root, 3000);
  };
  addEventListener("pagehide", finish, { once: true });
  // Whoever cancels is on the way to another page: news of the end must not lead elsewhere.
  addEventListener("submit", finish, { once: true });
}

for (const element of document.querySelectorAll("time")) localise(element);

const start = document.getElementById("progress");
if (start) watchStart(start);
const pause = document.querySelector("[data-look-again]");
if (pause) lookAgain(pause, Number(pause.dataset.lookAgain));
// Back in a page that was put aside while it waited: what it shows is old.
if (start || pause) addEventListener("pageshow", (event) => { if (event.persisted) loadAgain(start ?? pause); });

for (const button of document.querySelectorAll("[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  button.hidden = navigator.clipboard === undefined;
  field.addEventListener("focus", () => field.select());
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(field.value);
    button.textContent = button.dataset.done;
  });
}
