// Follows long work: the server tells news by server-sent events, and what is shown is fetched anew.
// Only the page that is looked at holds a stream; where none can be had, the page asks by itself.
"use strict";

const POLL_MS = 3000;
let stream = null;
let followed = "";
let polling = 0;

const jobsShown = () => [...document.querySelectorAll("[data-sk-job]")];

function tell(said) {
  for (const place of jobsShown().filter((one) => one.dataset.skJob === said.id)) {
    const bar = place.querySelector("progress");
    if (bar && said.total) bar.value = said.done / said.total;
    if (place.dataset.skVersion !== `${said.state}:${said.lines}`) htmx.trigger(place, "sk:job");
  }
}

function hangUp() {
  stream?.close();
  clearInterval(polling);
  stream = null;
  polling = 0;
  followed = "";
}

function poll() {
  hangUp();
  followed = "polled";
  polling = setInterval(() => jobsShown().forEach((place) => htmx.trigger(place, "sk:job")), POLL_MS);
}

function follow() {
  const ids = [...new Set(jobsShown().map((place) => place.dataset.skJob))].sort();
  const wanted = ids.map((id) => `job=${id}`).join("&");
  if (!ids.length || document.hidden) return hangUp();
  if (wanted === followed || polling) return undefined;
  hangUp();
  followed = wanted;
  stream = new EventSource(`${root.dataset.skEvents}?${wanted}`);
  stream.addEventListener("job", (event) => tell(JSON.parse(event.data)));
  stream.addEventListener("error", () => { if (stream?.readyState === EventSource.CLOSED) poll(); });
  return undefined;
}

document.addEventListener("htmx:afterSettle", follow);
document.addEventListener("visibilitychange", follow);
window.addEventListener("pagehide", hangUp);
window.addEventListener("pageshow", follow);
