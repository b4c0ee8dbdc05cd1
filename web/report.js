/* SPDX-License-Identifier: MIT
 * Draws the tokens of the outputs that are open, and their alternatives on hover or focus. */
"use strict";
(() => {
  const $ = (s, e) => (e || document).querySelector(s), all = (s, e) => [...(e || document).querySelectorAll(s)];
  const data = JSON.parse($("#data").textContent);
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const value = new Map([...digits].map((c, i) => [c, i]));
  const NONE = 4095;
  const tip = $("#tip");
  document.documentElement.classList.add("js");

  /* ---- data: [ref, shared tokens, packed rest]; see report_page.c for the widths ---- */
  const cache = new Map();
  const number = (s, at, width) => {
    let v = 0;
    for (let i = 0; i < width; i++) v = v * 64 + value.get(s[at + i]);
    return v;
  };
  const prob = (v) => (v === NONE ? null : Math.exp(-v / 100));
  function unpack(s) {
    const tokens = [];
    for (let i = 0; i < s.length;) {
      const t = { id: number(s, i, 3), p: prob(number(s, i + 3, 2)), q: prob(number(s, i + 5, 2)),
                  h: number(s, i + 7, 2), alt: [] };
      const n = number(s, i + 9, 1);
      i += 10;
      for (let k = 0; k < n; k++, i += 7)
        t.alt.push({ id: number(s, i, 3), p: prob(number(s, i + 3, 2)), q: prob(number(s, i + 5, 2)) });
      tokens.push(t);
    }
    return tokens;
  }
  function tokens(v) {
    if (!cache.has(v)) {
      const [ref, shared, rest] = data.outputs[v];
      cache.set(v, (shared ? tokens(ref).slice(0, shared) : []).concat(unpack(rest)));
    }
    return cache.get(v);
  }

  /* A token is a string, or its bytes where it is part of a character. */
  const label = (id) => {
    const t = data.vocab[id];
    return typeof t === "string" ? t : t.map((b) => "\\x" + b.toString(16).padStart(2, "0")).join("");
  };
  const shown = (s) => s.replace(/\n/g, "\u21B5").replace(/\t/g, "\u21E5").replace(/^ | $/g, "\u00B7");
  function texts(ts) {   /* pieces of one character are put together at the first of them */
    const out = ts.map((t) => (typeof data.vocab[t.id] === "string" ? data.vocab[t.id] : null));
    for (let i = 0; i < out.length; i++) {
      if (out[i] !== null) continue;
      let end = i, bytes = [];
      while (end < out.length && typeof data.vocab[ts[end].id] !== "string") bytes = bytes.concat(data.vocab[ts[end++].id]);
      out[i] = clean(new TextDecoder().decode(new Uint8Array(bytes)));
      for (let k = i + 1; k < end; k++) out[k] = "";
      i = end - 1;
    }
    return out;
  }
  const clean = (s) => s.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\uFFFD");

  /* ---- drawing ---- */
  let by = "p";
  const level = (p) => (p === null ? 5 : p >= .9 ? 0 : p >= .5 ? 1 : p >= .25 ? 2 : p >= .1 ? 3 : p >= .03 ? 4 : 5);
  function draw(box) {
    if (box.dataset.drawn === by) return;
    box.dataset.drawn = by;
    const ts = tokens(+box.dataset.v), words = texts(ts), cut = +box.dataset.cut;
    const parts = ts.map((t, i) => {
      const e = document.createElement("span"), w = words[i];
      e.className = "t t" + level(t[by]);
      if (w === "") e.classList.add("piece");
      if (i >= +box.dataset.end) e.classList.add("ctl");
      if (i === cut) e.classList.add("cut");
      e.textContent = w.replace(/\n/g, "\u21B5\n").replace(/\t/g, "\u21E5\t");
      e.tabIndex = i === 0 ? 0 : -1;
      e.setAttribute("aria-label", w.trim() + ", " + percent(t.p));
      return e;
    });
    if (cut >= ts.length && box.dataset.cut !== "") {
      const e = document.createElement("span");
      e.className = "cut";
      parts.push(e);
    }
    box.replaceChildren(...parts);
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "output; arrow keys move from token to token");
  }
  const drawIn = (d) => all("[data-v]", d).forEach(draw);
  const watch = new IntersectionObserver((list) => list.forEach((x) => {
    if (x.isIntersecting) all(".set[open]:not([hidden])", x.target).forEach(drawIn);
  }), { rootMargin: "600px" });
  all(".prompt").forEach((p) => watch.observe(p));
  all(".set").forEach((d) => d.addEventListener("toggle", () => { if (d.open) drawIn(d); }));

  /* ---- alternatives ---- */
  const percent = (p) => (p === null ? "removed" : p >= .9995 ? "100 %" : p >= .0995 ? (100 * p).toFixed(1) + " %"
    : p >= .001 ? (100 * p).toFixed(2) + " %" : p > 0 ? p.toExponential(1) : "0");
  const cell = (row, tag, text) => { const c = row.appendChild(document.createElement(tag)); c.textContent = text; return c; };
  function show(e) {
    const box = e.parentElement, i = [...box.children].indexOf(e), t = tokens(+box.dataset.v)[i];
    if (!t) return;
    const meta = document.createElement("div");
    meta.className = "meta";
    meta.textContent = "token " + (i + 1) + (t.h === NONE ? "" : " \u00B7 entropy " + (t.h / 100).toFixed(2) + " nats");
    const table = document.createElement("table"), head = table.insertRow();
    cell(head, "th", ""); cell(head, "th", "model"); cell(head, "th", "after processors");
    const rows = t.alt.some((a) => a.id === t.id) ? t.alt : t.alt.concat([t]);
    for (const a of rows) {
      const r = table.insertRow();
      if (a.id === t.id) r.className = "sel";
      cell(r, "td", shown(label(a.id))); cell(r, "td", percent(a.p)); cell(r, "td", percent(a.q));
    }
    tip.replaceChildren(meta, table);
    if (e.classList.contains("cut")) {
      const m = tip.insertBefore(document.createElement("div"), table);
      m.textContent = "outputs part here";
    }
    tip.hidden = false;
    const b = e.getBoundingClientRect(), w = tip.offsetWidth, h = tip.offsetHeight;
    const x = Math.max(8, Math.min(b.left, document.documentElement.clientWidth - w - 8));
    const below = b.bottom + 8 + h < innerHeight;
    tip.style.left = x + scrollX + "px";
    tip.style.top = (below ? b.bottom + 8 : b.top - h - 8) + scrollY + "px";
    e.setAttribute("aria-describedby", "tip");
  }
  const hide = () => { tip.hidden = true; };
  const isToken = (e) => e instanceof Element && e.classList.contains("t");
  addEventListener("mouseover", (ev) => (isToken(ev.target) ? show(ev.target) : hide()));
  addEventListener("focusin", (ev) => { if (isToken(ev.target)) show(ev.target); else hide(); });
  addEventListener("keydown", (ev) => {
    if (ev.key === "Escape") return hide();
    const step = { ArrowRight: 1, ArrowLeft: -1 }[ev.key], e = document.activeElement;
    if (!isToken(e) || (!step && ev.key !== "Home" && ev.key !== "End")) return;
    const ts = all(".t", e.parentElement), i = ts.indexOf(e);
    const to = step ? ts[i + step] : ev.key === "Home" ? ts[0] : ts[ts.length - 1];
    if (!to) return;
    ev.preventDefault();
    e.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });

  /* ---- which setting, which colour, where a link leads ---- */
  const pick = $("#pick"), colour = $("#colour");
  function choose() {
    const s = pick.value;
    all(".set").forEach((d) => {
      d.hidden = s !== "" && d.dataset.s !== s;
      d.open = s !== "" ? true : d.dataset.first === "1";
    });
    all(".prompt").forEach((p) => { watch.unobserve(p); watch.observe(p); });
  }
  function go() {
    const m = /^#p(\d+)s(\d+)$/.exec(location.hash);
    if (!m) return;
    pick.value = m[2];
    choose();
    const d = document.getElementById(location.hash.slice(1));
    if (!d) return;
    drawIn(d);
    d.closest(".prompt").scrollIntoView();
    $("summary", d).focus({ preventScroll: true });
  }
  pick.addEventListener("change", choose);
  colour.addEventListener("change", () => {
    by = colour.value;
    all(".set[open]:not([hidden])").forEach((d) => { if ($("[data-drawn]", d)) drawIn(d); });
  });
  addEventListener("hashchange", go);
  addEventListener("beforeprint", () => all(".set[open]:not([hidden])").forEach(drawIn));
  choose();
  go();
})();
