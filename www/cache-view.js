// Shows, in the page, what the cache between the browser and webserverd did.
//
// Two questions, and two ways past the browser's own cache:
//
// How did this very page arrive? The browser keeps the response that it made the page from, with
// its fields. `cache: "only-if-cached"` reads that stored response and sends nothing.
//
// How does the next request fare? `cache: "no-store"` leaves the browser's cache out, but would
// add `Cache-Control: no-cache`, which tells the proxy to leave its cache out, too. A
// Cache-Control and a Pragma that we set ourselves are kept as they are (Fetch, "HTTP-network-or-
// cache fetch"), and `max-age=…` says: a stored answer will do.

const HISTORY_LIMIT = 30;
const ANY_AGE_WILL_DO = "max-age=31536000";

/** What a Cache-Status (RFC 9211) and its companions say. `kind` also picks the colour. */
function verdictOf(headers) {
  const members = cacheStatusMembers(headers.get("cache-status") ?? "");
  const age = headers.get("age");
  const common = { age: age === null ? null : Number(age), status: headers.get("cache-status") };
  // The last member is the cache nearest to the browser (RFC 9211 §2).
  const nearest = members.at(-1);
  if (!nearest) {
    return { ...common, kind: "direct", word: "DIRECT" };
  }
  const { parameters } = nearest;
  const ttl = parameters.has("ttl") ? Number(parameters.get("ttl")) : null;
  if (parameters.has("hit")) {
    return ttl !== null && ttl < 0
      ? { ...common, ttl, kind: "stale", word: "STALE" }
      : { ...common, ttl, kind: "hit", word: "HIT" };
  }
  const why = parameters.get("fwd") ?? "";
  if (parameters.get("fwd-status") === "304") {
    return { ...common, ttl, why, kind: "revalidated", word: "REVALIDATED" };
  }
  if (["bypass", "method", "request"].includes(why)) {
    return { ...common, ttl, why, kind: "bypass", word: "BYPASS" };
  }
  return { ...common, ttl, why, kind: "miss", word: "MISS", stored: parameters.has("stored") };
}

/** Splits a structured list into its members and their parameters; a quoted string may hold , and ; */
function cacheStatusMembers(text) {
  return split(text, ",")
    .map((member) => {
      const [name, ...rest] = split(member, ";");
      const parameters = new Map(
        rest.map((parameter) => {
          const equals = parameter.indexOf("=");
          return equals < 0
            ? [parameter, "?1"]
            : [parameter.slice(0, equals), parameter.slice(equals + 1)];
        }),
      );
      return { name, parameters };
    })
    .filter((member) => member.name);
}

function split(text, separator) {
  const parts = [""];
  let quoted = false;
  let escaped = false;
  for (const c of text) {
    if (c === separator && !quoted) {
      parts.push("");
      continue;
    }
    if (c === '"' && !escaped) {
      quoted = !quoted;
    }
    escaped = quoted && c === "\\" && !escaped;
    parts[parts.length - 1] += c;
  }
  return parts.map((part) => part.trim());
}

const WORDS = {
  hit: "from proxyd’s cache",
  stale: "from proxyd’s cache, past its time",
  revalidated: "from proxyd’s cache, confirmed by webserverd",
  miss: "from webserverd, through proxyd",
  bypass: "from webserverd, past the cache",
  direct: "straight from webserverd",
};

const REASONS = {
  "uri-miss": "nothing was stored for this address",
  "vary-miss": "what was stored was made for another kind of request",
  miss: "nothing stored could be used",
  stale: "what was stored had passed its time",
  partial: "only a part of it was stored",
  request: "the request asked for a new answer",
  bypass: "this answer is not to be stored",
  method: "the method cannot be answered from a cache",
};

function sentence(verdict) {
  const since = verdict.age === null ? "" : `, fetched ${seconds(verdict.age)} ago`;
  const left = verdict.ttl === null || verdict.ttl < 0 ? "" : `, good for ${seconds(verdict.ttl)} more`;
  const reason = REASONS[verdict.why] ? `: ${REASONS[verdict.why]}` : "";
  switch (verdict.word) {
    case "HIT":
      return `proxyd had it in memory${since}${left}. webserverd did not hear of your request.`;
    case "STALE":
      return `proxyd answered with what it had${since}, although its time was over.`;
    case "REVALIDATED":
      return "proxyd asked webserverd whether its copy was still right; the answer was 304, without a body.";
    case "MISS":
      return `proxyd asked webserverd${reason}. ${verdict.stored ? "It keeps the answer, so the next request is a hit." : ""}`;
    case "BYPASS":
      return `proxyd passed the request on${reason}.`;
    default:
      return "There was no proxy on the way (no Cache-Status field). Open this page on port 8080 to see the cache at work.";
  }
}

function seconds(n) {
  return `${n} ${n === 1 ? "second" : "seconds"}`;
}

function milliseconds(n) {
  return n.toFixed(n < 10 ? 2 : 1);
}

function showVerdict(verdict, facts) {
  document.getElementById("verdict").dataset.kind = verdict.kind;
  document.getElementById("verdict-word").textContent = WORDS[verdict.kind];
  document.getElementById("verdict-detail").textContent = sentence(verdict);
  const list = document.getElementById("verdict-facts");
  list.replaceChildren(
    ...facts.map(([term, value]) => {
      const pair = document.createElement("div");
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = term;
      dd.textContent = value;
      pair.append(dt, dd);
      return pair;
    }),
  );
}

/** Tells how the page itself arrived, from the response that the browser made it from. */
async function explainThisPage() {
  let kept;
  try {
    kept = await fetch(location.href, { cache: "only-if-cached", mode: "same-origin" });
  } catch {
    document.getElementById("verdict-word").textContent = "in a way that your browser did not keep";
    document.getElementById("verdict-detail").textContent =
      "It threw the page’s fields away. Press “Fetch again” to see how the next request fares.";
    return;
  }
  const verdict = verdictOf(kept.headers);
  const navigation = performance.getEntriesByType("navigation")[0];
  const facts = [
    ["Cache-Status", verdict.status ?? "none"],
    ["Age", verdict.age === null ? "none" : `${verdict.age} s`],
  ];
  if (navigation?.transferSize === 0) {
    document.getElementById("verdict-label").textContent =
      "This time the page came from your browser’s own cache. When it came over the wire, it came";
  } else if (navigation) {
    facts.push(["Took", `${milliseconds(navigation.responseEnd - navigation.requestStart)} ms`]);
  }
  showVerdict(verdict, facts);
}

const history = [];
let fresh = 0;

function addressOf(what) {
  switch (what) {
    case "image":
      return { url: "/topology.svg", name: "/topology.svg" };
    case "new": {
      fresh += 1;
      const url = `/?never-asked=${Date.now().toString(36)}${fresh}`;
      return { url, name: url };
    }
    case "no-cache":
      return { url: location.pathname, name: `${location.pathname} with no-cache`, cacheControl: "no-cache" };
    default:
      return { url: location.pathname, name: location.pathname };
  }
}

async function fetchAgain(what) {
  const { url, name, cacheControl = ANY_AGE_WILL_DO } = addressOf(what);
  const row = { at: new Date(), asked: name, kind: "error", word: "ERROR", took: null, age: null };
  performance.clearResourceTimings();
  const began = performance.now();
  try {
    const response = await fetch(url, {
      cache: "no-store",
      headers: { "Cache-Control": cacheControl, Pragma: cacheControl === "no-cache" ? "no-cache" : "" },
    });
    await response.arrayBuffer();
    const timing = performance.getEntriesByName(new URL(url, location).href).at(-1);
    row.took = timing?.requestStart > 0 ? timing.responseEnd - timing.requestStart : performance.now() - began;
    Object.assign(row, verdictOf(response.headers));
    if (!response.ok) {
      row.asked += ` (${response.status})`;
    }
  } catch (error) {
    row.status = `no answer: ${error.message}`;
  }
  history.unshift(row);
  history.length = Math.min(history.length, HISTORY_LIMIT);
  showHistory();
}

function showHistory() {
  const slowest = Math.max(...history.map((row) => row.took ?? 0), 0.001);
  document.getElementById("history-rows").replaceChildren(
    ...history.map((row) => {
      const tr = document.createElement("tr");
      const badge = document.createElement("span");
      badge.className = "badge";
      badge.dataset.kind = row.kind;
      badge.textContent = row.word;
      const time = cell(row.took === null ? "" : milliseconds(row.took), "number took");
      time.style.setProperty("--share", `${((row.took ?? 0) / slowest) * 100}%`);
      time.dataset.kind = row.kind;
      const asked = cell(row.asked, "asked");
      const status = document.createElement("code");
      status.textContent = row.status ?? "no Cache-Status";
      asked.append(document.createElement("br"), status);
      tr.append(
        cell(row.at.toLocaleTimeString([], { hour12: false }), "when"),
        cell(badge),
        time,
        cell(row.age === null ? "" : `${row.age} s`, "number"),
        asked,
      );
      return tr;
    }),
  );
  document.getElementById("summary").textContent = summaryOf(history);
}

function cell(content, className = "") {
  const td = document.createElement("td");
  td.className = className;
  td.append(content);
  return td;
}

function summaryOf(rows) {
  const parts = [];
  for (const [kind, one, many] of [
    ["hit", "hit", "hits"],
    ["revalidated", "revalidated", "revalidated"],
    ["miss", "miss", "misses"],
    ["direct", "direct answer", "direct answers"],
  ]) {
    const times = rows.filter((row) => row.kind === kind && row.took !== null).map((row) => row.took);
    if (times.length > 0) {
      parts.push(`${times.length} ${times.length === 1 ? one : many}, median ${milliseconds(median(times))} ms`);
    }
  }
  return parts.join(" · ");
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Runs the requests one after the other: side by side they would share one fetch and one wait. */
async function run(times) {
  const what = document.getElementById("what").value;
  const buttons = document.querySelectorAll("#fetch-form button");
  buttons.forEach((button) => (button.disabled = true));
  try {
    for (let i = 0; i < times; i += 1) {
      await fetchAgain(what);
    }
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

document.getElementById("fetch-form").addEventListener("submit", (event) => {
  event.preventDefault();
  run(1);
});
document.getElementById("fetch-ten").addEventListener("click", () => run(10));
explainThisPage();
