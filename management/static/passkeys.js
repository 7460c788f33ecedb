// Passkeys: asks the browser for one and sends its answer with the form around the button.
"use strict";

(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  // What keeps passkeys from working here, before anybody tries.
  function obstacle(words) {
    if (location.origin !== words.dataset.skOrigin) return "skElsewhere";
    return window.PublicKeyCredential ? "" : "skUnsupported";
  }

  function tell(words, word) {
    const place = words.querySelector("[data-sk-passkey-says]");
    place.textContent = words.dataset[word];
    place.hidden = false;
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

  // Signing in, a passkey may stand for all fields; proving again, for the code only.
  function isFilledIn(form, kind) {
    if (kind === "sign-in") return true;
    const code = form.elements.own_code || form.elements.code;
    if (code) code.required = false;
    return form.reportValidity();
  }

  async function ask(button, words) {
    const form = button.form;
    const kind = button.dataset.skPasskey;
    if (!isFilledIn(form, kind)) return;
    try {
      const publicKey = readable(await question(button.dataset.skQuestion));
      const credential = await navigator.credentials[kind === "create" ? "create" : "get"]({ publicKey });
      form.elements.credential.value = answered(credential);
      form.submit();
    } catch (error) {
      tell(words, reason(error));
    }
  }

  for (const button of document.querySelectorAll("[data-sk-passkey]")) {
    const words = button.form.querySelector("[data-sk-passkeys]");
    if (!words.querySelector("[data-sk-passkey-says]")) continue;
    const wrong = obstacle(words);
    if (wrong) tell(words, wrong);
    button.hidden = Boolean(wrong);
    button.addEventListener("click", () => ask(button, words));
  }
})();
