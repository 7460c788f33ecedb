// Adds empty entries to lists of networks, accounts and certificates (without it one is always there),
// and hides settings that have no meaning beside another choice.
"use strict";

document.querySelectorAll("[data-sk-add]").forEach((button) => {
  const list = document.querySelector(`[data-sk-entries="${button.dataset.skAdd}"]`);
  const model = list.firstElementChild?.cloneNode(true);
  if (!model) return;
  button.hidden = false;
  let next = Number(model.querySelector(`[name="entry.${button.dataset.skAdd}"]`).value) + 1;
  button.addEventListener("click", () => {
    if (next >= Number(list.dataset.skMost)) return;
    const entry = model.cloneNode(true);
    renumber(entry, model.querySelector(`[name="entry.${button.dataset.skAdd}"]`).value, next);
    entry.open = true;
    list.append(entry);
    entry.querySelector("input:not([type=hidden])").focus();
    next += 1;
  });
});

function renumber(entry, from, to) {
  entry.querySelectorAll("[name], [id], [for], [aria-describedby]").forEach((element) => {
    for (const attribute of ["name", "id", "for", "aria-describedby"]) {
      const value = element.getAttribute(attribute);
      if (value) element.setAttribute(attribute, value.replace(`.${from}.`, `.${to}.`));
    }
    if (element.name?.startsWith("entry.")) element.value = to;
  });
  entry.querySelectorAll("[data-sk-when]").forEach((setting) => {
    setting.dataset.skWhen = setting.dataset.skWhen.replaceAll(`.${from}.`, `.${to}.`);
  });
}

function showWhatCounts() {
  document.querySelectorAll("[data-sk-when]").forEach((setting) => {
    const counts = setting.dataset.skWhen.split(";").every((rule) => {
      const [name, values] = rule.split("=");
      const other = document.getElementsByName(name)[0];
      return !other || values.split(",").includes(other.value);
    });
    setting.parentElement.hidden = !counts;
  });
}

document.addEventListener("change", showWhatCounts);
showWhatCounts();
