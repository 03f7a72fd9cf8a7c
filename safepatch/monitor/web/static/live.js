// Keeps a page current: when the server says that something changed, or else from time to time, the
// page is asked for anew, and its parts marked data-live are put in. Pages work without it.
"use strict";
(() => {
  const body = document.body;
  const stream = body.dataset.stream;
  const poll = Number(body.dataset.poll || 30) * 1000;
  if (!stream && !body.dataset.poll) return;

  let last = 0, timer = 0, busy = false;

  function inPlace(fresh) {
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (!now || now.innerHTML === old.innerHTML) continue;
      const held = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
      const scrolled = old.scrollTop;
      old.replaceWith(document.adoptNode(now));
      now.scrollTop = scrolled;
      if (held) {
        const link = [...now.querySelectorAll("a[href]")].find((a) => a.getAttribute("href") === held);
        if (link) link.focus({ preventScroll: true });
      }
    }
    if (document.title !== fresh.title) {
      document.title = fresh.title;
      const told = document.getElementById("told");
      if (told) told.textContent = fresh.title;
    }
  }

  async function refresh() {
    if (busy || document.hidden) return;
    busy = true;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.redirected) return location.reload();
      if (answer.ok) inPlace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The next time, perhaps.
    } finally {
      busy = false;
    }
  }

  // At most once in two seconds, and not all pages at the same moment.
  function soon() {
    if (timer) return;
    const wait = Math.max(Math.random() * 300, last + 2000 - Date.now());
    timer = setTimeout(() => { timer = 0; refresh(); }, wait);
  }

  setInterval(refresh, poll);
  document.addEventListener("visibilitychange", soon);
  if (stream && window.EventSource) {
    const source = new EventSource(stream);
    source.addEventListener("open", soon); // What happened before that, nobody has told.
    source.addEventListener("change", soon);
    window.addEventListener("pagehide", () => source.close());
  }
})();
