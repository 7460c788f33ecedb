// Passkeys: asks the browser for one and sends its answer with the form around the button.
"use strict";

const words = document.querySelector("[data-sk-passkeys]");
const place = words.querySelector("[data-sk-passkey-says]");

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function tell(word) {
  place.textContent = words.dataset[word];
  place.hidden = false;
}

// What keeps passkeys from working here, before anybody tries.
function obstacle() {
  if (location.origin !== words.dataset.skOrigin) return "skElsewhere";
  return window.PublicKeyCredential ? "" : "skUnsupported";
}

async function question(address) {
  const headers = JSON.parse(document.body.getAttribute("hx-headers"));
  const answer = await fetch(address, { method: "POST", headers });
  if (!answer.ok) throw new TypeError(answer.statusText);
  return answer.json();
}

function readable(options) {
  options.challenge = bytes(options.challenge);
  if (options.user) options.user.id = bytes(options.user.id);
  for (const list of [options.excludeCredentials, options.allowCredentials]) {
    for (const one of list ?? []) one.id = bytes(one.id);
  }
  return options;
}

function answered(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response });
}

// Browsers have one error for most refusals; only its text tells the certificate apart.
function reason(error) {
  if (error.name === "InvalidStateError") return "skAgain";
  if (error.name === "SecurityError") return "skElsewhere";
  if (error.name === "TypeError") return "skOffline";
  return /certificate/i.test(error.message) ? "skCertificate" : "skRefused";
}

async function ask(button) {
  const form = button.form;
  const making = button.dataset.skPasskey === "create";
  if (making && !form.reportValidity()) return;
  try {
    const publicKey = readable(await question(button.dataset.skQuestion));
    const credential = await navigator.credentials[making ? "create" : "get"]({ publicKey });
    form.elements.credential.value = answered(credential);
    form.submit();
  } catch (error) {
    tell(reason(error));
  }
}

if (place) {
  const wrong = obstacle();
  if (wrong) tell(wrong);
  for (const button of document.querySelectorAll("[data-sk-passkey]")) {
    button.hidden = Boolean(wrong);
    button.addEventListener("click", () => ask(button));
  }
}
