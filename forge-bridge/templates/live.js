"use strict";

// Nodes of log that stay in the page; older ones go, the plain text has them all.
const KEPT_NODES = 4000;
// This close to the end, in pixels, a reader wants to stay there.
const NEAR_END = 40;

function follow(log) {
  const source = new EventSource(log.dataset.stream);
  source.addEventListener("message", (event) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END;
    log.append(event.data + "\n");
    while (log.childNodes.length > KEPT_NODES) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  source.addEventListener("change", refresh);
  source.addEventListener("end", async () => {
    source.close();
    const fresh = await refresh();
    const next = fresh && attemptAfter(log, fresh);
    if (!next) return;
    log.replaceWith(next);
    follow(next);
  });
}

// The log of the same job in a fresh page, where another attempt of it has begun.
function attemptAfter(log, fresh) {
  const label = log.getAttribute("aria-label");
  return [...fresh.querySelectorAll("[data-stream]")].find(
    (other) => other.getAttribute("aria-label") === label && attempt(other) !== attempt(log),
  );
}

function attempt(log) {
  return new URL(log.dataset.stream, location).searchParams.get("attempt");
}

// Takes the parts that carry states from a fresh copy of the page; logs stay as they are.
async function refresh() {
  const response = await fetch(location.pathname + location.search);
  if (!response.ok) return null;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    // A copy, because the fresh page is still looked into.
    if (now) part.replaceWith(now.cloneNode(true));
  }
  return fresh;
}

for (const log of document.querySelectorAll("[data-stream]")) {
  log.scrollTop = log.scrollHeight;
  follow(log);
}
