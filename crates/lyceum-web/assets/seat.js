// A picture on a sheet leads to the log-in page with the code behind a `#`. It is filled in and taken out of
// the address; whoever sits there presses the button herself, so that no link of somebody else logs her in.
const field = document.querySelector("#code");
const fill = () => {
  // Letters, digits and a hyphen are never escaped; what else stands there is no code.
  const code = location.hash.slice(1);
  if (!field || !/^[\w-]{1,64}$/.test(code)) return;
  field.value = code;
  history.replaceState(null, "", location.pathname + location.search);
  field.form.querySelector("button").focus();
};
fill();
addEventListener("hashchange", fill);

const print = document.querySelector("[data-print]");
if (print) {
  print.hidden = false;
  print.addEventListener("click", () => window.print());
}
