"use strict";
// The key stays in this page's memory: neither a cookie nor the browser's storage holds it.
let key = "";

const form = document.getElementById("ask");
const told = document.getElementById("told");

const signed = (headers) => (key ? { ...headers, Authorization: `Bearer ${key}` } : headers);

async function show() {
  const answer = await fetch("/openapi.json", { headers: signed({}) });
  if (answer.status === 401 || answer.status === 403) {
    form.hidden = false;
    told.textContent = key ? "This key is not known here." : "";
    document.getElementById("key").focus();
    return;
  }
  if (!answer.ok) {
    form.hidden = false;
    told.textContent = `The server answered ${answer.status}.`;
    return;
  }
  form.hidden = true;
  const ui = SwaggerUIBundle({
    spec: await answer.json(),
    dom_id: "#ui",
    deepLinking: true,
    docExpansion: "list",
    filter: true,
    validatorUrl: null,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    onComplete: () => {
      if (key) ui.preauthorizeApiKey("key", key);
    },
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  key = document.getElementById("key").value.trim();
  show();
});

show();
