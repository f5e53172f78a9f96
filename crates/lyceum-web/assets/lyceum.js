// What pages do when script runs: times in the reader's zone, a live start, a home page that goes on,
// copying a token.
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

// An estimate is no more exact than that, and it is never over before what it is about has come.
function about(seconds) {
  const step = seconds <= 60 ? 5 : 30;
  return Math.max(5, Math.ceil(seconds / step) * step);
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
    if (told) sayPlace("off");
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
  let told;
  function showPlace(step) {
    told = { ...step, since: Date.now() };
    sayPlace("polite");
    waiting.hidden = false;
  }

  // Said again only when it is news, which is read out; that time passes is only shown.
  function sayPlace(live) {
    const { place, estimate, own_first: ownFirst, held, again, since } = told;
    const left = (seconds) => duration(about(seconds - (Date.now() - since) / 1000));
    const { next, place: pattern, own, soon, full, site, room, trouble, maintenance } = waiting.dataset;
    const number = new Intl.NumberFormat(html.lang).format(place);
    let words = place === 1 ? next : pattern.replace("#", number);
    if (ownFirst) words = own;
    if (held === "full") words = full.replace("#", number);
    if (held === "site") words = site.replace("#", number);
    if (held === "maintenance") words = maintenance;
    if (held === "room") words = room.replace("#", number);
    if (held === "trouble") words = trouble.replace("#", left(again));
    if (typeof estimate === "number") words += ` ${soon.replace("#", left(estimate))}`;
    if (waiting.textContent === words) return;
    waiting.setAttribute("aria-live", live);
    waiting.textContent = words;
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
    if (Number(step.progress) > 0) {
      waiting.hidden = true;
      told = undefined;
    }
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
    // The browser connects again by itself, unless the answer was a refusal: it may be over for her, and
    // whether the connection is lost tells the next look.
    if (source.readyState !== EventSource.CLOSED) {
      lost.hidden = false;
      return;
    }
    finish();
    lookAgain(root, 500);
  };
  addEventListener("pagehide", finish, { once: true });
  // Whoever cancels is on the way to another page: news of the end must not lead elsewhere.
  addEventListener("submit", finish, { once: true });
}

// Home looks again by itself while somebody looks at it, and takes over what has changed. What she is
// at stays: where the focus is, what is open, pressed or marked, what was typed.
const REST_MS = 60_000;
const SOON_MS = 3_000;
const LINE_MS = 15_000;
const FAILED_MS = 300_000;

// Parts of the page that are compared piece by piece; the others are taken over whole.
const isGroup = (part) => part.matches("main, section, ul.cards, ul.cards > li");

function keyed(parent) {
  const parts = new Map();
  for (const part of parent.children) {
    const said = part.dataset.said === undefined ? undefined : "said";
    const name = said ?? (part.dataset.key || part.id || part.getAttribute("aria-labelledby") || `${part.localName} ${part.className}`);
    let key = name;
    for (let number = 2; parts.has(key); number += 1) key = `${name} ${number}`;
    parts.set(key, part);
  }
  return parts;
}

// As the hub wrote it, without the time that passes by itself.
function written(part) {
  const copy = part.cloneNode(true);
  for (const one of [copy, ...copy.querySelectorAll("[data-left]")]) {
    if (one.dataset.words) one.textContent = "";
    delete one.dataset.left;
  }
  return copy.outerHTML;
}

function isHeld(part) {
  const marked = getSelection();
  return part.dataset.said !== undefined
    || part.matches(":focus-within, :active, details[open]")
    || part.querySelector("details[open]") !== null
    || [...part.querySelectorAll("input:not([type=hidden])")].some((field) => field.value !== field.defaultValue)
    || (!marked.isCollapsed && marked.containsNode(part, true));
}

// The state of each server, and which are told to end soon, by what they are called.
function stateOf(page) {
  const states = new Map();
  for (const row of page.querySelectorAll("[data-about]")) {
    const soon = row.parentElement.querySelector(":scope > [data-words]");
    states.set(row.dataset.about, { state: row.querySelector(".state").textContent, soon });
  }
  return states;
}

function keepFresh(status) {
  const main = document.getElementById("main");
  const sources = new WeakMap();
  const ends = new WeakMap();
  let states = stateOf(main);
  let timer;
  let looked = Date.now();
  // When what is shown was asked for.
  let got = looked;
  let looking = false;
  let over = false;
  let failures = 0;
  let unchanged = 0;
  let newest;

  function remember(part, now) {
    for (const one of [part, ...part.querySelectorAll("[data-left]")]) {
      if (one.dataset.left) ends.set(one, now + Number(one.dataset.left) * 1000);
    }
    if (isGroup(part)) for (const piece of part.children) remember(piece, now);
    else sources.set(part, written(part));
  }

  function place(parent, last, part) {
    if (last) last.after(part);
    else parent.prepend(part);
    return part;
  }

  function takeOver(old, fresh) {
    const [there, come] = [keyed(old), keyed(fresh)];
    for (const [key, part] of there) if (!come.has(key) && !isHeld(part)) part.remove();
    let last;
    for (const [key, part] of come) {
      let here = there.get(key);
      if (!here) {
        here = settle(place(old, last, document.importNode(part, true)));
      } else if (isGroup(here) && isGroup(part)) {
        takeOver(here, part);
      } else if (sources.get(here) !== written(part) && !isHeld(here)) {
        const copy = document.importNode(part, true);
        here.replaceWith(copy);
        here = settle(copy);
      }
      const before = last ? last.nextElementSibling : old.firstElementChild;
      if (before !== here && !isHeld(here)) place(old, last, here);
      last = here;
    }
  }

  // Once it is in the page.
  function settle(part) {
    remember(part, got);
    for (const time of part.querySelectorAll("time")) localise(time);
    return part;
  }

  function news(page) {
    const words = [];
    const now = stateOf(page);
    for (const [about, { state, soon }] of now) {
      const before = states.get(about);
      if (before && before.state !== state) words.push(`${about}: ${state}`);
      if (before && soon && !before.soon) words.push(`${about}: ${soon.textContent}`);
    }
    states = now;
    return words;
  }

  function count() {
    for (const one of main.querySelectorAll("[data-words]")) {
      const left = Math.max(0, Math.round((ends.get(one) - Date.now()) / 1000));
      const words = one.dataset.words.replace("#", duration(left < 60 ? left : left - (left % 60)));
      if (one.textContent !== words) one.textContent = words;
    }
  }

  // A little later each time than another page that was opened at the same moment.
  const spread = (wait) => wait * (1 + Math.random() / 4);

  function wait() {
    if (failures > 0) return spread(Math.min(FAILED_MS, SOON_MS * 2 ** failures));
    if (main.querySelector(".state.waiting, .state.starting, .state.stopping")) {
      return spread(Math.min(LINE_MS, SOON_MS * 1.3 ** unchanged));
    }
    const left = [...main.querySelectorAll("[data-left]")].map((one) => ends.get(one) - Date.now());
    const next = Math.min(...left.filter((ms) => ms > 0)) + SOON_MS;
    return next < REST_MS ? next : spread(REST_MS);
  }

  function plan() {
    clearTimeout(timer);
    if (!over && !document.hidden) timer = setTimeout(look, wait());
  }

  function end() {
    over = true;
    const stale = main.querySelector("[data-stale]");
    stale.hidden = false;
    // Words that were there before are not read out when they are shown.
    status.textContent = stale.firstChild.textContent;
  }

  async function look() {
    clearTimeout(timer);
    if (over || looking || document.hidden) return;
    looking = true;
    looked = Date.now();
    try {
      const answer = await fetch(`${status.dataset.fresh}?no_track_activity=1`, {
        cache: "no-store",
        redirect: "manual",
        headers: { "X-XSRFToken": document.querySelector("input[name=_xsrf]")?.value ?? "" },
        signal: AbortSignal.timeout(20_000),
      });
      if (answer.status === 429 || answer.status >= 500) throw new Error("the hub is not well");
      const page = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
      // Nobody is logged in, or somebody else; or it is read in another language by now.
      if (!page || !page.querySelector("[data-fresh]") || page.documentElement.lang !== html.lang) {
        end();
        return;
      }
      failures = 0;
      newest = page.getElementById("main");
      got = looked;
      const words = news(newest);
      unchanged = words.length > 0 ? 0 : unchanged + 1;
      takeOver(main, newest);
      for (const time of main.querySelectorAll("time")) localise(time);
      count();
      if (words.length > 0) status.textContent = words.join(". ");
    } catch {
      failures += 1;
    } finally {
      looking = false;
      plan();
    }
  }

  remember(main, looked);
  setInterval(count, 1000);
  count();
  plan();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - looked > SOON_MS) look();
    else plan();
  });
  addEventListener("pageshow", (event) => { if (event.persisted) look(); });
  // What was left alone for it; not under a press that has just begun.
  main.addEventListener("focusout", () => setTimeout(() => { if (newest && !over) takeOver(main, newest); }, 300));
}

const fresh = document.querySelector("[data-fresh]");
if (fresh) keepFresh(fresh);
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
