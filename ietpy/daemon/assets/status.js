"use strict";
// Keeps the status page current: asks for status.json every two seconds, makes rates of what counts up, and draws them.
// Nothing is ever taken for HTML: all text goes by textContent.
(() => {
  const PERIOD = 2000, KEPT = 60, SVG = "http://www.w3.org/2000/svg";
  const $ = (id) => document.getElementById(id);
  const history = new Map(); // of what is drawn, the last values
  let current = null, earlier = null, fresh = false, failures = 0;

  const make = (name, kind, text) => {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const scaled = (value, base, units) => {
    let unit = 0;
    while (value >= base && unit < units.length - 1) { value /= base; unit += 1; }
    return (unit || value % 1 ? value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0) : String(value)) + units[unit];
  };
  const bytes = (value) => scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"]);
  const count = (value) => scaled(value, 1000, ["", " k", " M", " G"]);
  const rate = (value) => value < 1000 ? String(Math.round(value)) : count(value);
  const time = (seconds) => seconds === null ? "–"
    : seconds < 0.001 ? `${Math.round(seconds * 1e6)} µs`
    : seconds < 1 ? `${(seconds * 1e3).toFixed(seconds < 0.01 ? 2 : 1)} ms` : `${seconds.toFixed(2)} s`;
  const age = (seconds) => {
    const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const at = parts.findIndex(([size]) => seconds >= size);
    if (at < 0) return "0 s";
    const [size, unit] = parts[at], next = parts[at + 1];
    const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
    return `${Math.floor(seconds / size)} ${unit}` + (rest ? ` ${rest} ${next[1]}` : "");
  };

  const remember = (key, value) => {
    const kept = history.get(key) || history.set(key, []).get(key);
    if (fresh && earlier) kept.push(value);
    if (kept.length > KEPT) kept.shift();
    return kept;
  };
  const spark = (values, width, height) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const most = Math.max(...values, 1e-9), step = width / (KEPT - 1), first = KEPT - values.length;
    const points = values.map((value, at) =>
      `${((first + at) * step).toFixed(1)},${(height - 1 - value / most * (height - 3)).toFixed(1)}`);
    if (points.length > 1) {
      const area = document.createElementNS(SVG, "path"), line = document.createElementNS(SVG, "path");
      line.setAttribute("class", "line");
      line.setAttribute("d", `M${points.join("L")}`);
      area.setAttribute("class", "fill");
      area.setAttribute("d", `M${(first * step).toFixed(1)},${height}L${points.join("L")}L${width},${height}Z`);
      svg.append(area, line);
    }
    return svg;
  };

  // What of two looks at the same counters came between them.
  const between = (now, then, seconds) => {
    const per = (name) => then && seconds > 0 ? Math.max(0, now[name] - then[name]) / seconds : 0;
    const made = { reads: per("reads"), writes: per("writes"), read: per("bytes_read"), written: per("bytes_written") };
    const spent = now.latency && then ? now.latency.sum - (then.latency ? then.latency.sum : 0) : 0;
    const total = (latency) => latency ? latency.counts.reduce((sum, each) => sum + each, 0) : 0;
    const commands = then ? total(now.latency) - total(then.latency) : 0;
    made.latency = commands > 0 ? spent / commands : null;
    made.spent = Math.max(0, spent);
    made.measured = Math.max(0, commands);
    return made;
  };
  const errors = (of) => Object.entries(of.errors).filter(([key]) => key !== "unit_attention")
    .reduce((sum, [, each]) => sum + each, 0);

  const cell = (row, kind, text) => row.append(make("td", kind, text));
  const numbers = (row, made) => {
    for (const [value, words] of [
      [made.reads, rate(made.reads)], [made.writes, rate(made.writes)],
      [made.read, `${bytes(Math.round(made.read))}/s`], [made.written, `${bytes(Math.round(made.written))}/s`],
    ]) cell(row, value ? "number" : "number zero", words);
    cell(row, made.latency === null ? "number zero" : "number", time(made.latency));
  };
  const drawn = (row, key, made) => {
    const place = make("td", "number");
    place.append(spark(remember(key, made.reads + made.writes), 84, 18));
    row.append(place);
  };

  const unit = (target, lun, made) => {
    const row = make("tr");
    row.dataset.words = `${target.name} lun ${lun.number} ${lun.path || ""} ${lun.type}`.toLowerCase();
    cell(row, "number", String(lun.number));
    cell(row, "name", lun.path || "\u2013");
    cell(row, "", `${lun.type} ${lun.mode}${lun.leaving ? " (leaving)" : ""}`);
    cell(row, "number", bytes(lun.size));
    numbers(row, made);
    drawn(row, `lun ${target.name} ${lun.number}`, made);
    const wrong = errors(lun);
    cell(row, wrong ? "number" : "number zero", String(wrong));
    return row;
  };
  const session = (each, made, now) => {
    const row = make("tr");
    row.dataset.words = `${each.initiator} ${each.address} ${each.target || "discovery"}`.toLowerCase();
    const who = make("td", "who");
    who.title = each.initiator;
    who.append(make("div", "", each.initiator), make("div", "soft", `${each.address} \u2192 ${each.target || "discovery"}`));
    row.append(who);
    cell(row, "number", age(Math.max(0, Math.floor(now - each.since))));
    numbers(row, made);
    drawn(row, `session ${each.target} ${each.tsih}`, made);
    cell(row, each.queue_depth ? "number" : "number zero", String(each.queue_depth));
    return row;
  };

  const whole = (facts) => `${facts.luns.length} LUN${facts.luns.length === 1 ? "" : "s"}`;
  const show = () => {
    const facts = current, then = earlier, seconds = then ? facts.now - then.now : 0;
    const old = { luns: new Map(), sessions: new Map() };
    if (then) {
      for (const target of then.targets) for (const lun of target.luns) old.luns.set(`${target.name} ${lun.number}`, lun);
      for (const each of then.sessions) old.sessions.set(`${each.target} ${each.tsih}`, each);
    }
    const all = { reads: 0, writes: 0, read: 0, written: 0, spent: 0, measured: 0 };
    const add = (sum, made) => { for (const name of Object.keys(sum)) sum[name] += made[name]; };

    const known = new Map([...$("targets").children].map((each) => [each.dataset.name, each]));
    const few = facts.targets.reduce((sum, target) => sum + target.luns.length, 0) <= 20;
    const shown = facts.targets.map((target) => {
      const sum = { reads: 0, writes: 0, read: 0, written: 0, spent: 0, measured: 0 };
      const rows = target.luns.map((lun) => {
        const made = between(lun, old.luns.get(`${target.name} ${lun.number}`), seconds);
        add(sum, made);
        return [lun, made];
      });
      add(all, sum);
      let card = known.get(target.name);
      if (!card) {
        card = make("details", "card");
        card.dataset.name = target.name;
        card.open = few;
        const summary = make("summary"), table = make("table", "units");
        summary.append(make("b", "", target.name), make("span", "grow"), make("span", "numbers"));
        table.append($("unit-head").content.cloneNode(true), make("tbody"));
        card.append(summary, table);
      }
      const words = [whole(target), `${target.sessions} session${target.sessions === 1 ? "" : "s"}`,
        `${rate(sum.reads + sum.writes)} IOPS`, `${bytes(Math.round(sum.read + sum.written))}/s`];
      card.querySelector(".numbers").replaceChildren(...words.map((each) => make("span", "", each)));
      card.dataset.words = target.name.toLowerCase();
      const body = card.querySelector("tbody"), made = rows.map(([lun, each]) => [lun, each, `lun ${target.name} ${lun.number}`]);
      if (card.open || $("filter").value) body.replaceChildren(...made.map(([lun, each]) => unit(target, lun, each)));
      else for (const [, each, key] of made) remember(key, each.reads + each.writes);
      card.dataset.inside = target.luns.map((lun) => `lun ${lun.number} ${lun.path || ""} ${lun.type}`).join("\n").toLowerCase();
      return card;
    });
    const empty = make("div", "card empty", "No target is served.");
    $("targets").replaceChildren(...(shown.length ? shown : [empty]));

    const rows = facts.sessions.map((each) =>
      session(each, between(each, old.sessions.get(`${each.target} ${each.tsih}`), seconds), facts.now));
    $("sessions").replaceChildren(...rows);
    $("no-session").hidden = rows.length > 0;
    $("session-table").hidden = rows.length === 0;
    $("session-count").textContent = String(facts.sessions.length);
    $("target-count").textContent = String(facts.targets.length);

    const depth = facts.sessions.reduce((sum, each) => sum + each.queue_depth, 0);
    const tiles = {
      reads: [all.reads, rate(all.reads)], writes: [all.writes, rate(all.writes)],
      read: [all.read, `${bytes(Math.round(all.read))}/s`], written: [all.written, `${bytes(Math.round(all.written))}/s`],
      latency: [all.measured ? all.spent / all.measured : 0, time(all.measured ? all.spent / all.measured : null)],
      depth: [depth, String(depth)],
    };
    for (const [name, [value, words]] of Object.entries(tiles)) {
      const tile = $(`tile-${name}`), kept = remember(`tile ${name}`, value);
      tile.querySelector("b").textContent = then ? words : "–";
      tile.querySelector("svg").replaceWith(spark(kept, 160, 34));
    }

    $("state").className = `pill ${facts.degraded ? "bad" : facts.problems.length ? "warn" : "good"}`;
    $("state").textContent = facts.degraded ? "degraded" : facts.problems.length ? "warnings" : "healthy";
    $("problems").replaceChildren(...facts.problems.map((each) => {
      const item = make("li", each.severity);
      item.append(make("code", "", each.code), make("span", "", each.text));
      return item;
    }));
    $("problem-part").hidden = facts.problems.length === 0;
    $("problem-count").textContent = String(facts.problems.length);
    $("uptime").textContent = `up ${age(Math.floor(facts.now - facts.started))}`;
    $("usage").textContent = facts.usage.map((each) =>
      `${each.process ? `worker ${each.process}` : "process"} ${each.pid}: ${bytes(each.memory_resident)}, `
      + `${each.threads} threads, ${each.descriptors} descriptors, ${bytes(each.memory_writes + each.memory_reads
      + each.memory_unsent)} of buffers`).join("; ");
    $("logins").textContent = Object.entries(facts.logins).map(([name, each]) =>
      `${each} ${name.replaceAll("_", " ")}`).join(", ") || "none yet";
    filter();
    fresh = false;
  };

  const filter = () => {
    const word = $("filter").value.trim().toLowerCase();
    let found = 0;
    for (const card of $("targets").children) {
      if (card.dataset.words === undefined) continue;
      const mine = card.dataset.words.includes(word);
      let inside = 0;
      for (const row of card.querySelectorAll("tbody tr")) {
        row.hidden = !(mine || row.dataset.words.includes(word));
        inside += row.hidden ? 0 : 1;
      }
      card.hidden = !(mine || inside || (card.dataset.inside || "").includes(word));
      found += card.hidden ? 0 : 1;
    }
    for (const row of $("sessions").children) row.hidden = !row.dataset.words.includes(word);
    $("nothing-found").hidden = found > 0 || !word;
  };

  const look = async () => {
    try {
      const answer = await fetch("status.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      earlier = current;
      current = await answer.json();
      fresh = true;
      show();
      failures = 0;
      $("live").textContent = "live";
      $("static").hidden = true;
      for (const each of document.querySelectorAll(".needs-script")) each.hidden = false;
      document.body.dataset.looked = String(Number(document.body.dataset.looked || 0) + 1);
    } catch (problem) {
      failures += 1;
      $("live").textContent = `no answer for ${age(failures * PERIOD / 1000)}`;
    }
    setTimeout(look, PERIOD);
  };

  $("filter").addEventListener("input", show);
  $("targets").addEventListener("toggle", (event) => { if (event.target.open) show(); }, true);
  look();
})();
