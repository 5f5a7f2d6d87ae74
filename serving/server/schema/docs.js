"use strict";
// Swagger UI's own dark colours, where the reader's system asks for dark ones; set before anything is drawn.
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

// The key stays in this page's memory: neither a cookie nor the browser's storage holds it.
let key = "";

const part = (name) => document.getElementById(name);
const signed = (headers) => (key ? { ...headers, Authorization: `Bearer ${key}` } : headers);

async function show() {
  const answer = await fetch("/openapi.json", { headers: signed({}) });
  if (answer.status === 401 || answer.status === 403) {
    part("ask").hidden = false;
    part("told").textContent = key ? "This key is not known here." : "";
    part("key").focus();
    return;
  }
  if (!answer.ok) {
    part("ask").hidden = false;
    part("told").textContent = `The server answered ${answer.status}.`;
    return;
  }
  part("ask").hidden = true;
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

document.addEventListener("DOMContentLoaded", () => {
  part("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    key = part("key").value.trim();
    show();
  });
  show();
});
