// What JupyterHub's scripts do on its pages, for templates that were written for it: they name
// things by id, and leave the rest to a script. Ours needs no library. Where a page of ours is
// inside, forms do the work and there is nothing here to find.

const page = document.getElementById("lyceum-page")?.dataset ?? {};
const byId = (id) => document.getElementById(id);
const api = (path) => `${page.base}api/${path}`;
const person = encodeURIComponent(page.owner || page.user || "");
const serverPath = (name) =>
  name ? `users/${person}/servers/${encodeURIComponent(name)}` : `users/${person}/server`;

async function call(method, path, body) {
  const answer = await fetch(api(path), {
    method,
    headers: { "X-XSRFToken": page.xsrf, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.message ?? answer.statusText);
}

// Words of the hub, where the page keeps a place for them.
function tell(error) {
  const place = document.querySelector(".ajax-error") ?? document.querySelector("[data-error]");
  if (place) {
    place.textContent = error.message;
    place.closest("dialog, .modal")?.removeAttribute("hidden");
  }
  let shown = byId("lyceum-error");
  if (!shown) {
    shown = document.createElement("p");
    shown.id = "lyceum-error";
    shown.className = "problem alert alert-danger";
    shown.setAttribute("role", "alert");
    (document.querySelector("main, .container") ?? document.body).prepend(shown);
  }
  shown.textContent = error.message;
}

function onClick(element, act) {
  element?.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      await act(element);
    } catch (error) {
      tell(error);
    }
  });
}

// A link without an address can't be reached by the keyboard.
for (const link of document.querySelectorAll("a[role=button]:not([href])")) {
  link.tabIndex = 0;
  link.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") link.click();
  });
}

const reload = () => location.reload();
const nameOf = (element) => element.closest("[data-server-name]")?.dataset.serverName ?? "";
const isOurs = (element) => element.closest("form[method=post]") !== null;

function home() {
  const stop = byId("stop");
  if (stop && !isOurs(stop)) onClick(stop, async () => reload(await call("DELETE", serverPath(""))));
  for (const one of document.querySelectorAll(".stop-server")) {
    onClick(one, async () => reload(await call("DELETE", serverPath(nameOf(one)))));
  }
  for (const one of document.querySelectorAll(".delete-server")) {
    onClick(one, async () => reload(await call("DELETE", serverPath(nameOf(one)), { remove: true })));
  }
  for (const one of document.querySelectorAll(".new-server-btn")) {
    onClick(one, () => {
      const field = one.closest("tr, form, div")?.querySelector(".new-server-name")
        ?? document.querySelector(".new-server-name");
      const name = field?.value.trim();
      if (name) location.href = `${page.base}spawn/${person}/${encodeURIComponent(name)}`;
    });
  }
}

function progress() {
  const message = byId("progress-message");
  const bar = byId("progress-bar");
  if (!page.events || (!message && !bar)) return;
  const source = new EventSource(page.events);
  source.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.progress !== undefined && bar) {
      bar.setAttribute("aria-valuenow", String(event.progress));
      bar.style.width = `${event.progress}%`;
      const spoken = byId("sr-progress");
      if (spoken) spoken.textContent = `${event.progress}%`;
    }
    const words = event.words ?? event.message;
    if (words) {
      if (message) message.textContent = words;
      const line = document.createElement("div");
      line.className = "progress-log-event";
      line.textContent = words;
      byId("progress-log")?.append(line);
    }
    if (event.ready || event.failed) {
      source.close();
      reload();
    }
  };
}

function token() {
  const form = byId("request-token-form");
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = (id) => byId(id)?.value.trim();
    const seconds = Number(given("token-expiration-seconds"));
    const scopes = given("token-scopes")?.split(/\s+/).filter(Boolean) ?? [];
    const wish = { note: given("token-note") || "Requested via token page" };
    if (seconds > 0) wish.expires_in = seconds;
    if (scopes.length > 0) wish.scopes = scopes;
    try {
      const answer = await call("POST", `users/${encodeURIComponent(page.user)}/tokens`, wish);
      const made = await answer.json();
      const area = byId("token-area");
      if (area) area.style.display = "block";
      const result = byId("token-result");
      if (result) result.textContent = made.token;
    } catch (error) {
      tell(error);
    }
  });
  for (const button of document.querySelectorAll(".revoke-token-btn")) {
    const row = button.closest("[data-token-id]");
    onClick(button, async () => {
      await call("DELETE", `users/${encodeURIComponent(page.user)}/tokens/${row.dataset.tokenId}`);
      row.remove();
    });
  }
}

onClick(byId("refresh"), reload);
const stopStart = byId("stop-server-btn");
if (stopStart && !isOurs(stopStart)) {
  onClick(stopStart, async () => reload(await call("DELETE", serverPath(page.server))));
}
if (page.page === "home") home();
if (page.page === "progress") progress();
if (page.page === "token") token();
// JupyterHub's page of a server that stops looks again by itself.
if (page.page === "stopping" && !document.querySelector("[data-look-again]")) {
  setTimeout(reload, 5000);
}
