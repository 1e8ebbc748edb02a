// What the pages do beyond HTML: they follow the inbox while they are seen, ages go on, and text can be copied.
// Without this everything can be read and done all the same.
(() => {
  "use strict";

  const toggle = document.getElementById("live-switch");
  const OFF = "inspector-live-off";
  let source = null;
  let known = toggle ? toggle.dataset.known : "";
  let again = 0;
  let owed = false;
  let isPressing = false;
  let pressed = 0; // buttons that have no response yet
  let refreshing = null;

  const says = (state, text) => {
    toggle.dataset.state = state;
    toggle.querySelector(".live-text").textContent = text;
  };

  const isSelecting = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed;
  };

  const isAsked = () => document.querySelector("#filters.htmx-request") !== null; // for another filter

  // Nothing is refreshed under the hands of somebody who copies a text, presses a button, or asks for a filter; nor
  // before the response of a button, which may be older than what is shown by then.
  const isBusy = () => isAsked() || isSelecting() || isPressing || pressed > 0;

  const refresh = () => {
    const live = document.getElementById("live");
    if (!live) return;
    if (refreshing === live || isBusy()) {
      owed = true;
      return;
    }
    owed = false;
    refreshing = live;
    let isShown = false;
    live.addEventListener("htmx:beforeSwap", (event) => {
      if (event.detail.requestConfig.elt !== live) return; // it is the filter's, which comes here, too
      isShown = live.isConnected && !isBusy(); // somebody may have begun since it was asked for
      if (isShown) return;
      event.detail.shouldSwap = false;
      owed = true;
    });
    const ended = () => {
      if (refreshing === live) refreshing = null;
      // A button or a filter has replaced it meanwhile, perhaps with what was older.
      if (owed || (!isShown && (isAsked() || !live.isConnected))) refresh();
    };
    window.htmx.ajax("GET", live.getAttribute("hx-get"), { source: live, target: live, swap: "outerHTML" }).then(ended, ended);
  };

  const close = () => {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  };

  const open = () => {
    if (!toggle || source || document.hidden || sessionStorage.getItem(OFF)) return;
    const url = new URL(toggle.dataset.live, location.href);
    if (known) url.searchParams.set("known", known);
    source = new EventSource(url);
    source.addEventListener("open", () => says("open", "Live"));
    source.addEventListener("changed", (event) => {
      known = event.lastEventId;
      refresh();
    });
    source.addEventListener("error", () => {
      says("cut", "Reconnecting");
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        again = setTimeout(open, 5000);
      }
    });
  };

  if (toggle && window.htmx && document.getElementById("live")) {
    toggle.hidden = false;
    const show = () => {
      const off = Boolean(sessionStorage.getItem(OFF));
      toggle.setAttribute("aria-pressed", String(!off));
      if (off) says("off", "Paused");
    };
    toggle.addEventListener("click", () => {
      if (sessionStorage.getItem(OFF)) sessionStorage.removeItem(OFF);
      else sessionStorage.setItem(OFF, "1");
      close();
      show();
      if (!sessionStorage.getItem(OFF)) {
        known = "";
        open();
      }
    });
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    addEventListener("pagehide", close);
    addEventListener("pageshow", open);
    document.addEventListener("selectionchange", () => {
      if (owed && !isSelecting()) refresh();
    });
    addEventListener("pointerdown", () => (isPressing = true));
    addEventListener("keydown", (event) => event.key === " " && (isPressing = true)); // it presses as it comes up
    for (const end of ["pointerup", "pointercancel", "keyup", "blur"]) {
      addEventListener(end, () => {
        isPressing = false;
        setTimeout(() => owed && refresh()); // behind the click
      });
    }
    show();
    open();
  }

  // What somebody has opened stays open when the page is refreshed.
  // So does the focus of the keyboard: of a button that is gone, it goes to what follows. htmx keeps it by ids; a link
  // without one is known by its address, and what is opened by what it opens.
  let opened = new Map();
  let then = "";
  let isFocused = null;
  document.addEventListener("htmx:beforeSwap", () => {
    const focused = document.activeElement;
    then = focused?.dataset.then ?? "";
    isFocused = null;
    if (focused && !focused.id && focused.closest("#live")) {
      const [kind, to, within] = [focused.localName, focused.getAttribute("href"), focused.closest("[id]").id];
      isFocused = (each) =>
        each.localName === kind && each.getAttribute("href") === to && each.closest("[id]").id === within;
    }
    opened = new Map([...document.querySelectorAll("#live details[id]")].map((each) => [each.id, each.open]));
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const [id, isOpen] of opened) {
      const found = document.getElementById(id);
      if (found) found.open = isOpen;
    }
    if (document.activeElement === document.body) {
      if (then) document.getElementById(then)?.focus();
      else if (isFocused) [...document.querySelectorAll("#live *")].find(isFocused)?.focus({ preventScroll: true });
    }
    prepare(document);
    if (owed) refresh();
  });

  // A button that was refused, or had no answer, says so; without this the page of the response does.
  const refused = document.getElementById("refused");
  const isPress = (event) => event.detail.requestConfig.verb !== "get"; // what is live says itself that it was cut
  document.addEventListener("htmx:beforeSend", (event) => {
    if (!isPress(event)) return;
    refused.textContent = "";
    pressed += 1;
    event.detail.xhr.addEventListener("loadend", () => {
      pressed -= 1;
      if (owed) refresh();
    });
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (!isPress(event)) return;
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    const [title, advice] = [".problem h1", ".problem bdi"].map((each) => page.querySelector(each)?.textContent);
    const alert = page.querySelector("main .notice[role=alert]:not(:empty)")?.textContent;
    refused.textContent = [title, advice].filter(Boolean).join(": ") || alert || page.body.textContent.slice(0, 300);
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (isPress(event)) refused.textContent = "no answer: is it still running?";
  });

  // Ages go on, in the words of the server.
  const span = (seconds) => {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
    }
    return `${Math.max(0, Math.round(seconds))} s`;
  };
  setInterval(() => {
    if (document.hidden) return;
    for (const each of document.querySelectorAll("time[data-age]")) {
      const seconds = (Date.now() - Date.parse(each.dateTime)) / 1000;
      if (seconds >= 0 && !isSelecting()) {
        const text = `${span(seconds)} ago`;
        if (each.textContent !== text) each.textContent = text;
      }
    }
  }, 5000);

  const prepare = (root) => {
    for (const button of root.querySelectorAll("button[data-copy]")) {
      if (!navigator.clipboard || !button.hidden) continue;
      button.hidden = false;
      button.addEventListener("click", async () => {
        const text = document.getElementById(button.dataset.copy).textContent;
        try {
          await navigator.clipboard.writeText(text);
          button.textContent = "Copied";
        } catch {
          button.textContent = "Not allowed";
        }
        setTimeout(() => (button.textContent = "Copy"), 2000);
      });
    }
    for (const button of root.querySelectorAll(".without-script")) button.hidden = true; // htmx goes on by itself
  };
  prepare(document);

  // On a phone the navigation scrolls: to where we are.
  const here = document.querySelector(".pages a[aria-current]");
  if (here) here.scrollIntoView({ block: "nearest", inline: "center" });
})();
