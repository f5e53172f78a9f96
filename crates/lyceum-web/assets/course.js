// Handing in: files may be dropped, what was chosen is listed, and a bar shows how far it has gone.
// Without this the form does it alone.
const form = document.querySelector("[data-hand-in]");

function begin() {
  const field = form.querySelector("input[type=file]");
  const drop = form.querySelector(".drop");
  const list = form.querySelector("[data-chosen]");
  const button = form.querySelector("button");
  const bar = form.querySelector("progress");
  const said = form.querySelector("[role=status]");
  const problem = form.querySelector("[role=alert]");
  const words = form.dataset;
  let sending = null;

  const complain = (text) => {
    problem.textContent = text;
    problem.hidden = !text;
    if (text) problem.focus();
  };
  // As the page tells sizes: never more than it is.
  const size = (bytes) => {
    const units = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];
    const [step, unit] = units.find(([least]) => bytes >= least) || [1, "B"];
    const amount = Math.floor((10 * bytes) / step) / 10;
    return `${amount.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })} ${unit}`;
  };
  const total = () => [...field.files].reduce((sum, file) => sum + file.size, 0);
  const check = () => {
    if (!field.files.length) return words.none;
    return total() > Number(words.most) ? words.tooLarge : "";
  };
  const show = () => {
    list.replaceChildren(...[...field.files].map((file) => {
      const line = document.createElement("li");
      line.textContent = `${file.name} (${size(file.size)})`;
      return line;
    }));
    list.hidden = !field.files.length;
    complain(field.files.length ? check() : "");
  };
  const over = (is) => drop.classList.toggle("over", is);

  field.addEventListener("change", show);
  // The page asks for files by itself, in words that are read out.
  field.required = false;
  const areFiles = (event) => event.dataTransfer?.types.includes("Files");
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { if (areFiles(event) && !sending) over(true); });
  }
  // A file that is dropped beside the box would take the place of the page.
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!areFiles(event)) return;
      event.preventDefault();
      if (!drop.contains(event.target) || sending) event.dataTransfer.dropEffect = "none";
    });
  }
  drop.addEventListener("dragleave", (event) => { if (!drop.contains(event.relatedTarget)) over(false); });
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (sending || !event.dataTransfer.files.length) return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    if (entries.some((entry) => entry?.isDirectory)) {
      complain(words.folder);
      return;
    }
    field.files = event.dataTransfer.files;
    show();
  });

  const rest = (text) => {
    sending = null;
    button.removeAttribute("aria-disabled");
    bar.hidden = true;
    said.textContent = "";
    complain(text);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (sending) return;
    const wrong = check();
    complain(wrong);
    if (wrong) return;
    sending = new XMLHttpRequest();
    const request = sending;
    let told = -1;
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", ({ loaded, total: all, lengthComputable }) => {
      if (!lengthComputable) return;
      bar.max = all;
      bar.value = loaded;
      // Read out now and then, not for every piece.
      const percent = Math.floor((100 * loaded) / all);
      if (percent !== 100 && percent < told + 10) return;
      told = percent;
      said.textContent = percent === 100 ? words.kept : words.sending.replace("#", percent);
    });
    request.addEventListener("load", () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* No words of ours. */ }
      if (request.status === 201 && answer.url) location.assign(answer.url);
      else rest(answer.problem || answer.message || words.lost);
    });
    for (const kind of ["error", "abort", "timeout"]) request.addEventListener(kind, () => rest(words.lost));
    button.setAttribute("aria-disabled", "true");
    bar.hidden = false;
    bar.value = 0;
    said.textContent = words.sending.replace("#", 0);
    request.send(new FormData(form));
  });
  addEventListener("beforeunload", (event) => { if (sending && sending.readyState < 4) event.preventDefault(); });
  // Whoever comes back by the browser's button finds the form as it was before.
  addEventListener("pageshow", (event) => { if (event.persisted) rest(""); });
}

if (form) begin();
