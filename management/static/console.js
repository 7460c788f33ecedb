// The console's own script. Every page works without it; it adds keys, live help and the zone.
"use strict";

const root = document.documentElement;
const typing = (element) => (/^(INPUT|TEXTAREA|SELECT)$/.test(element?.tagName) && element.type !== "checkbox") || element?.isContentEditable;

// The server writes times in the browser's zone once it knows which one that is.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes(`zone=${zone}`)) {
  document.cookie = `zone=${zone};path=/;max-age=31536000;samesite=strict;secure`;
}

// Without a choice of theme the browser's own holds; the server cannot know it.
if (root.dataset.skTheme === "auto") {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { root.dataset.bsTheme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", follow);
  follow();
}

const rows = () => [...document.querySelectorAll(".sk-rows tr")].filter((row) => row.querySelector("a"));

// What is typed is searched for at once; leaving the field must not fetch the same rows again,
// because the row that has the focus would be replaced.
document.querySelector("input[data-sk-search]")?.addEventListener("change", (event) => event.stopPropagation());

function step(direction) {
  const all = rows();
  if (!all.length) return;
  const here = all.findIndex((row) => row.contains(document.activeElement));
  const next = here < 0 ? (direction > 0 ? 0 : all.length - 1) : here + direction;
  const row = all[Math.max(0, Math.min(all.length - 1, next))];
  row.querySelector("a").focus();
  row.scrollIntoView({ block: "nearest" });
}

// Ticking rows: how many are ticked is said on the button that works on them.
const boxes = () => [...document.querySelectorAll(".sk-rows input[type=checkbox]")];

function countTicked() {
  const all = boxes();
  const ticked = all.filter((box) => box.checked).length;
  document.querySelectorAll("[data-sk-ticked]").forEach((place) => { place.textContent = ticked ? `(${ticked})` : ""; });
  const every = document.querySelector("[data-sk-tick-all]");
  if (every) every.checked = ticked > 0 && ticked === all.length;
}

function tick(chosen, checked) {
  chosen.forEach((box) => { box.checked = checked; });
  countTicked();
}

function tickHere() {
  const box = document.activeElement?.closest(".sk-rows tr")?.querySelector("input[type=checkbox]");
  if (box) tick([box], !box.checked);
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-sk-tick-all]")) tick(boxes(), event.target.checked);
  else if (event.target.matches(".sk-rows input[type=checkbox]")) countTicked();
});

// Out of a field, and from the search straight into what it found.
function leave(event) {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") document.getElementById("main")?.focus();
  else if (event.key === "ArrowDown" && event.target.matches("input[data-sk-search]")) step(1);
  else return;
  event.preventDefault();
}

const KEYS = {
  "/": () => document.querySelector("[data-sk-search]")?.focus(),
  j: () => step(1),
  k: () => step(-1),
  x: tickHere,
  a: () => tick(boxes(), boxes().some((box) => !box.checked)),
  b: () => {
    const bulk = document.getElementById("sk-bulk");
    // Where there are several words to choose from, none of them is chosen for somebody.
    const words = bulk?.querySelectorAll("button[name]") ?? [];
    if (words.length) words[0].focus();
    else bulk?.requestSubmit();
  },
  B: () => document.getElementById("sk-bulk-all")?.requestSubmit(),
  m: () => document.querySelector(".navbar [aria-current], .navbar .nav-link")?.focus(),
  "?": () => document.getElementById("sk-help")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (typing(event.target)) leave(event);
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]") || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-sk-open]");
  if (opener) document.getElementById(opener.dataset.skOpen)?.showModal();
  const copier = event.target.closest("[data-sk-copy]");
  if (copier) copy(copier);
  if (event.target.closest("[data-sk-print]")) print();
});

async function copy(button) {
  await navigator.clipboard.writeText(document.getElementById(button.dataset.skCopy).textContent.trim());
  say(button.dataset.skDone);
}

// A button that cannot be taken back waits until its word is typed.
document.addEventListener("input", (event) => {
  const expected = event.target.dataset?.skConfirm;
  if (expected === undefined) return;
  event.target.form.querySelector("[type=submit]").disabled = event.target.value.trim() !== expected;
});

// A form that goes on with the filter in the address, which htmx changes without a new page.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-sk-address]")) return;
  event.target.querySelectorAll("input:not([name=all])").forEach((old) => old.remove());
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (name === "after") continue;
    event.target.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
});

function say(text) {
  const place = document.getElementById("sk-toast");
  place.textContent = text;
  place.hidden = false;
  setTimeout(() => { place.hidden = true; }, 8000);
}

document.addEventListener("htmx:responseError", (event) => {
  say(event.detail.xhr.responseText || root.dataset.skFailed);
});
document.addEventListener("htmx:sendError", () => say(root.dataset.skOffline));

// A list whose rows came anew says of when they are.
document.addEventListener("sk:as-of", (event) => {
  const place = document.getElementById("sk-as-of");
  if (!place) return;
  place.dateTime = event.detail.at;
  place.textContent = event.detail.shown;
});

// What has the focus may be replaced: then it goes to what came instead, never back to the top.
let lost = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target } = event.detail;
  const here = document.activeElement;
  lost = target.contains(here) && here !== document.body
    ? { id: here.id, target, parent: target.parentElement, before: target.previousElementSibling } : null;
});
document.addEventListener("htmx:afterSettle", () => {
  countTicked();
  if (!lost || document.activeElement !== document.body) return;
  const came = lost.target.isConnected ? lost.target : (lost.before?.nextElementSibling ?? lost.parent.firstElementChild);
  const same = lost.id && document.getElementById(lost.id);
  (same || came?.querySelector("a, button, input:not([type=hidden]), select") || document.getElementById("main"))?.focus();
  lost = null;
});
