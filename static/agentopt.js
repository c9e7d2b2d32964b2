/* agentopt: the one script. No eval, no inline handlers; everything is found by a data attribute.
   Without it every page still reads: charts give way to their tables, tabs to sections, menus are popovers. */
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  /* ---- colours: light-dark() stays unresolved in a custom property, so let a probe compute it ---------- */
  const probe = document.createElement("i");
  probe.hidden = true;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const colour = (token, alpha) => {
    probe.style.color = `var(--${token})`;
    const rgb = getComputedStyle(probe).color;
    return alpha === undefined ? rgb : rgb.replace(/^rgba?\(([^,]+),([^,]+),([^,)]+).*$/, `rgba($1,$2,$3,${alpha})`);
  };

  /* ---- charts --------------------------------------------------------------------------------------------
     The server sends plain figures. What a mark *is* stands in `meta`, never a colour:
       meta.c    token of the series: "c1" to "c6", "c0" context, "text", "bad"
       meta.role line (default) · band (filled between two lines) · faint (earlier period) · open (hollow marker)
     Shapes and annotations name their token in `name`; labels take the ink of their series (--i1 for --c1). So one figure serves both themes and print.       */
  const CONFIG = { displayModeBar: false, responsive: true, displaylogo: false, showSendToCloud: false,
                   plotlyServerURL: "", doubleClick: "reset", scrollZoom: false };

  function paint(trace) {
    const { c = "c0", role = "line" } = trace.meta || {};
    const ink = colour(c), out = { ...trace, cliponaxis: false };
    if (role === "band") return { ...out, line: { width: 0, ...trace.line }, fillcolor: colour(c, .14), hoverinfo: "skip" };
    const width = { faint: 1.25 }[role] || 2;
    out.line = { width, ...trace.line, color: role === "faint" ? colour(c, .55) : ink };
    out.marker = { size: 8, ...trace.marker, color: trace.type === "bar" && role === "faint" ? colour(c, .4) : ink };
    if (trace.type === "bar") {
      out.marker.line = { width: 1, color: colour("surface") };
      if (out.marker.pattern) out.marker.pattern = { fillmode: "overlay", size: 4, solidity: .45, fgcolor: colour("surface"), fgopacity: 1, ...out.marker.pattern };
    } else {
      out.marker.line = { width: role === "open" ? 2 : 1.5, color: role === "open" ? ink : colour("surface") };
      if (role === "open") out.marker.color = colour("surface");
    }
    for (const e of ["error_x", "error_y"]) if (trace[e]) out[e] = { thickness: 1.5, width: 3, ...trace[e], color: colour(c, role === "open" ? .55 : .8) };
    return out;
  }

  function frame(given) {
    const note = { family: css("--font"), size: 12, color: colour("text-3") };
    const axis = { gridcolor: colour("grid"), gridwidth: 1, linecolor: colour("border-mid"), zeroline: false, showline: false, ticks: "",
                   tickfont: note, fixedrange: true, automargin: false, ticklabelstandoff: 5 };
    const layout = { margin: { l: 40, r: 12, t: 10, b: 26 }, showlegend: false, hovermode: "closest", barmode: "stack", bargap: .28, dragmode: false,
      ...structuredClone(given), font: note, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("border-mid"), align: "left", font: { ...note, color: colour("text") } } };
    for (const key of ["xaxis", "yaxis", ...Object.keys(layout).filter((k) => /^[xy]axis\d/.test(k))]) {
      const own = layout[key] || {};
      layout[key] = { ...axis, ...own, ...(own.title ? { title: { standoff: 8, ...own.title, font: note } } : {}) };
      if (key[0] === "x") layout[key] = { showgrid: false, showline: true, ...layout[key], ...own.title ? { title: layout[key].title } : {} };
    }
    for (const s of layout.shapes || []) {
      if (s.type === "rect") { s.fillcolor = colour(s.name || "zone"); s.line = { width: 0 }; }
      else s.line = { width: 1.25, ...s.line, color: colour(s.name || "border-strong") };
    }
    for (const a of layout.annotations || []) { a.showarrow = a.showarrow || false; a.font = { ...note, color: colour((a.name || "text-3").replace(/^c([1-6])$/, "i$1")), ...a.font }; if (a.showarrow) a.arrowcolor = colour("border-strong"); }
    return layout;
  }

  /* also when a drawer takes room beside a chart, which no event of the window tells */
  const room = new ResizeObserver((entries) => entries.forEach(({ target }) => { if (target.clientWidth !== target.drawnAt) draw(target); }));
  function draw(el, _i, _all, paper) {
    const source = document.getElementById(el.dataset.figure);
    if (!source || !window.Plotly || !(paper || el.clientWidth)) return;      // in a hidden tab: drawn when shown
    el.drawnAt = el.clientWidth; room.observe(el);
    const fig = el.figure = el.figure || JSON.parse(source.textContent);
    const narrow = (paper ? paper.width : el.clientWidth) < 420 && fig.narrow;
    const layout = { autosize: true, ...fig.layout, ...(narrow || {}), ...(paper || {}) };
    window.Plotly.react(el, fig.data.map(paint), frame(layout), CONFIG);
  }
  const charts = () => document.querySelectorAll(".chart[data-figure]");
  const drawAll = () => charts().forEach((el) => draw(el));
  document.addEventListener("htmx:load", (e) => e.detail.elt.querySelectorAll(".chart[data-figure]").forEach((el) => draw(el)));
  document.addEventListener("htmx:beforeCleanupElement", (e) => { if (e.target._fullLayout) window.Plotly.purge(e.target); });

  /* ---- htmx: busy state, errors as toasts, polling only while the tab is seen ----------------------------- */
  function toast(text) {
    const box = document.getElementById("toasts"), p = document.createElement("p");
    if (!box) return;
    p.className = "notice bad"; p.setAttribute("role", "alert"); p.append(document.createElement("span"), text);
    box.replaceChildren(p);
  }
  const polls = (el) => (el.getAttribute("hx-trigger") || "").startsWith("every");
  const unasked = (el) => polls(el) || el.getAttribute("hx-trigger") === "load";      // nobody waits for it: no fading, no toast
  const openedAt = Date.now(), polledAt = {};      // after five minutes a page asks every ten seconds
  document.addEventListener("htmx:beforeRequest", (e) => {
    if (polls(e.detail.elt)) {
      const now = Date.now(), isEarly = now - openedAt > 300000 && now - (polledAt[e.detail.elt.id] || 0) < 9500;
      if (document.hidden || isEarly) { e.preventDefault(); return; }
      polledAt[e.detail.elt.id] = now;
    }
    if (unasked(e.detail.elt)) return;
    e.detail.target.setAttribute("aria-busy", "true");
  });
  document.addEventListener("htmx:afterRequest", (e) => e.detail.target.removeAttribute("aria-busy"));
  document.addEventListener("htmx:responseError", (e) => { if (!unasked(e.detail.elt)) toast(`The server answered ${e.detail.xhr.status}. Nothing was changed. Try again, or reload the page.`); });
  document.addEventListener("htmx:sendError", () => toast("The server could not be reached. Check the connection, then try again."));
  document.addEventListener("htmx:timeout", () => toast("The server took longer than 15 seconds. Narrow the time range, then try again."));

  /* ---- a look at a large file needs its start only (Parquet is read from its end) ------------------------- */
  const SLICE_BYTES = 4 * 1024 * 1024;
  document.addEventListener("htmx:configRequest", (e) => {
    const name = e.detail.elt.dataset.slice, file = name && e.detail.formData.get(name);
    if (!file || !file.size || file.size <= SLICE_BYTES || /\.parquet$/i.test(file.name)) return;
    e.detail.formData.set(name, file.slice(0, SLICE_BYTES), file.name);
    e.detail.formData.set("cut", "1");
  });

  /* ---- theme: kept in a cookie that the server reads, so the first paint is right ----------------------- */
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  function showTheme() {
    document.querySelectorAll('[data-action="theme"]').forEach((b) => { b.setAttribute("aria-pressed", String(isDark())); });
  }
  dark.addEventListener("change", () => { drawAll(); showTheme(); });

  /* ---- one call beside the list, where there is room for it ------------------------------------------------- */
  const beside = matchMedia("(min-width: 1280px)");
  function openBeside(link) {
    const drawer = document.getElementById("drawer");
    if (!drawer || !window.htmx || !beside.matches) return false;
    window.htmx.ajax("GET", link.href, { target: "#drawer", swap: "innerHTML" });
    drawer.hidden = false; drawer.dataset.open = "true";
    document.querySelectorAll('tr[aria-selected="true"]').forEach((row) => row.removeAttribute("aria-selected"));
    link.closest("tr").setAttribute("aria-selected", "true");
    return true;
  }
  document.addEventListener("click", (e) => {
    const link = e.target.closest("a.rowlink[data-beside]") || e.target.closest("tr")?.querySelector("a.rowlink[data-beside]");
    if (!link || e.metaKey || e.ctrlKey || e.shiftKey || e.defaultPrevented) return;
    if (openBeside(link)) e.preventDefault();
    else if (!e.target.closest("a")) link.click();
  });

  /* ---- small actions -------------------------------------------------------------------------------------- */
  const actions = {
    theme() {
      root.dataset.theme = isDark() ? "light" : "dark";
      document.cookie = `theme=${root.dataset.theme};path=/;max-age=31536000;samesite=lax`;
      showTheme(); drawAll();
    },
    keys(el) {
      root.dataset.keys = root.dataset.keys === "off" ? "on" : "off";
      document.cookie = `keys=${root.dataset.keys};path=/;max-age=31536000;samesite=lax`;
      el.setAttribute("aria-pressed", String(root.dataset.keys === "off"));
    },
    menu(el) { el.setAttribute("aria-expanded", String(el.getAttribute("aria-expanded") !== "true")); },
    dialog(el) { document.getElementById(el.dataset.target).showModal(); },
    close(el) { el.closest("dialog")?.close(); },
    drawer(el) { const d = document.getElementById(el.dataset.target); d.hidden = !d.hidden; d.dataset.open = String(!d.hidden); },
    dismiss(el) { el.closest(".toast, .notice")?.remove(); },
    async copy(el) { await navigator.clipboard.writeText(document.getElementById(el.dataset.target).textContent); el.textContent = "Copied"; },
  };
  document.addEventListener("click", (e) => {
    const el = e.target.closest("[data-action]");
    if (el && actions[el.dataset.action]) { e.preventDefault(); actions[el.dataset.action](el); }
  });

  /* ---- tabs: links to sections become a tab list (arrow keys, Home, End) -------------------------------- */
  function tabs(list) {
    const all = [...list.querySelectorAll('a[href^="#"]')];
    const panel = (t) => document.getElementById(t.hash.slice(1));
    const show = (tab, focus) => {
      for (const t of all) { const on = t === tab; t.setAttribute("aria-selected", String(on)); t.tabIndex = on ? 0 : -1; panel(t).hidden = !on; }
      panel(tab).querySelectorAll(".chart[data-figure]").forEach((el) => draw(el));
      if (focus) tab.focus();
    };
    list.setAttribute("role", "tablist");
    all.forEach((t) => { t.setAttribute("role", "tab"); t.setAttribute("aria-controls", panel(t).id); panel(t).setAttribute("role", "tabpanel"); panel(t).setAttribute("aria-label", t.firstChild.textContent.trim()); });
    list.addEventListener("click", (e) => { const t = e.target.closest("a"); if (all.includes(t)) { e.preventDefault(); show(t); } });
    list.addEventListener("keydown", (e) => {
      const i = all.indexOf(document.activeElement), to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: all.length - 1 }[e.key];
      if (to !== undefined) { e.preventDefault(); show(all[(to + all.length) % all.length], true); }
    });
    show(all.find((t) => t.hash === location.hash) || all[0]);
  }

  /* ---- keyboard: single keys only outside of fields, and only while they are switched on ------------------ */
  let prefix = "";
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") {
      document.querySelectorAll('.menu-toggle[aria-expanded="true"]').forEach((b) => { b.setAttribute("aria-expanded", "false"); b.focus(); });
      document.querySelectorAll(".drawer:not([hidden])").forEach((d) => { d.hidden = true; d.dataset.open = "false"; });
    }
    if (root.dataset.keys === "off" || e.metaKey || e.ctrlKey || e.altKey || e.target.closest("input, textarea, select, dialog")) return;
    if (prefix === "g") { prefix = ""; document.querySelector(`a[data-go="${CSS.escape(e.key)}"]`)?.click(); return; }
    if (e.key === "g") { prefix = "g"; setTimeout(() => { prefix = ""; }, 900); }
    if (e.key === "/") { const s = document.querySelector("[data-search]"); if (s) { e.preventDefault(); s.focus(); } }
    if (e.key === "?") document.getElementById("keys")?.showModal();
    if (e.key === "[" || e.key === "]") document.querySelector(`main a[rel="${e.key === "[" ? "prev" : "next"}"]`)?.click();
    if (e.key === "j" || e.key === "k") {
      const rows = [...document.querySelectorAll("a.rowlink")]; if (!rows.length) return;
      const at = rows.indexOf(document.activeElement) + (e.key === "j" ? 1 : -1);
      const row = rows[Math.max(0, Math.min(rows.length - 1, at))];
      row.focus();
      if (document.querySelector("#drawer:not([hidden])")) openBeside(row);
    }
  });

  /* ---- labeling: 1 to 5 score the left answer, then the right; 0 starts again, x puts the pair off ---------- */
  document.addEventListener("keydown", (e) => {
    const form = document.querySelector("form[data-label]");
    if (!form || root.dataset.keys === "off" || e.metaKey || e.ctrlKey || e.altKey || e.target.closest('input:not([type="radio"], [type="checkbox"]), textarea, select, dialog')) return;
    const groups = [...form.querySelectorAll("[data-scores]")], open = groups.filter((g) => !g.querySelector(":checked"));
    if (/^[1-5]$/.test(e.key) && open.length) { const choice = open[0].querySelectorAll("input")[e.key - 1]; choice.checked = true; choice.focus({ preventScroll: true }); }
    else if (e.key === "0") { form.querySelectorAll("[data-scores] :checked").forEach((c) => { c.checked = false; }); groups[0].querySelector("input").focus({ preventScroll: true }); }
    else if (e.key === "x") form.querySelector("[data-later]")?.click();
    else if (e.key === "Enter" && !open.length && !e.target.closest("a, button, summary")) { e.preventDefault(); form.requestSubmit(); }
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.body.append(probe);
    document.querySelectorAll("[data-tabs]").forEach(tabs);
    showTheme(); drawAll();
  });
  /* paper: always light, and the width is the paper's, which no event tells */
  addEventListener("beforeprint", () => {
    const theme = root.dataset.theme; root.dataset.theme = "light";
    charts().forEach((el, i, all) => draw(el, i, all, { width: el.closest(".cols.even, .cols.main-aside") ? 318 : 650, height: 205, autosize: false }));
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  });
  addEventListener("afterprint", drawAll);
})();
