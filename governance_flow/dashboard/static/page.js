// What works on every page: the switch between light and dark, copying, and a tidy address.

const root = document.documentElement;
const darkPreferred = matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : darkPreferred.matches;
}

function sayTheme() {
  button.textContent = isDark() ? "Light" : "Dark";
  button.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  document.dispatchEvent(new Event("recoloured"));
}

button.hidden = false;
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // It holds for this page, then.
  }
  sayTheme();
});
darkPreferred.addEventListener("change", sayTheme);
sayTheme();

// What an action came to is said once: loading the page again must not say it again.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}

// Copying needs a secure context; without one the buttons stay away.
function showCopyButtons() {
  if (!navigator.clipboard) return;
  for (const one of document.querySelectorAll("button[data-copy]")) one.hidden = false;
}

document.addEventListener("click", async (event) => {
  const one = event.target.closest("button[data-copy]");
  if (!one) return;
  try {
    await navigator.clipboard.writeText(document.getElementById(one.dataset.copy).textContent);
    document.getElementById("news").textContent = "Copied.";
    one.textContent = "Copied";
  } catch {
    one.textContent = "Select it and copy by hand";
  }
});

// A form that is on its way must not be sent twice by a second click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("refreshed", showCopyButtons);
showCopyButtons();
