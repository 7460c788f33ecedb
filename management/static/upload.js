// Shows how far an upload is; without this script the form works too, only silently.
"use strict";

document.querySelectorAll("form[data-sk-upload]").forEach((form) => {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const bar = form.querySelector("progress");
    const button = form.querySelector("button");
    const request = new XMLHttpRequest();
    const again = (text) => {
      bar.hidden = true;
      button.disabled = false;
      say(text);
    };
    request.upload.addEventListener("progress", (sent) => {
      if (sent.lengthComputable) bar.value = sent.loaded / sent.total;
    });
    request.addEventListener("load", () => {
      if (request.status < 400) location.assign(request.responseURL);
      else again(request.responseText || root.dataset.skFailed);
    });
    request.addEventListener("error", () => again(root.dataset.skOffline));
    bar.value = 0;
    bar.hidden = false;
    button.disabled = true;
    request.open("POST", form.action);
    request.setRequestHeader("HX-Request", "true"); // an error is answered as one sentence
    request.send(new FormData(form));
  });
});
