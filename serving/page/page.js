// One user at a time: what is known, what is added here, and what the service answers to both.

const SHOWN = 25; // events of the timeline, before "Show all"
const at = (id) => document.getElementById(id);
const state = { task: null, entity: null, user: null, known: [], added: [], chosen: null, places: new Map(), before: new Map(), compared: null, all: false, turn: 0 };

async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = `Bearer ${key}`;
  const asked = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const response = await fetch(path, asked);
  const answer = await response.json();
  if (response.status === 401) at("unlock").hidden = false;
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

// Whatever a listener does: what goes wrong is said on the page.
function guarded(action) {
  return async (event) => {
    event?.preventDefault?.();
    at("problem").hidden = true;
    try {
      await action(event);
    } catch (error) {
      at("problem").textContent = error.message;
      at("problem").hidden = false;
    }
  };
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const named = () => (state.entity ? { entity: state.entity } : state.user ? { user_id: state.user } : {});
const question = () => ({ ...named(), events: state.added, task: state.task?.task });
const identity = (event) => `${Date.parse(event.at)} ${event.item_id} ${event.event_type}`;
const signed = (value) => (value ? (value < 0 ? "−" : "+") + Math.abs(value).toPrecision(2) : "0");

async function start() {
  const about = await ask("v1/about");
  at("unlock").hidden = true;
  const task = (state.task = about.tasks[0]);
  state.ds = about.ds;
  describe();
  at("task").replaceChildren(...about.tasks.map((each) => new Option(each.task, each.task)));
  at("task").parentElement.hidden = about.tasks.length < 2;
  at("task").onchange = guarded(() => {
    state.task = about.tasks.find((each) => each.task === at("task").value);
    Object.assign(state, { chosen: null, places: new Map(), before: new Map(), compared: null });
    describe();
    return refresh();
  });
  const types = Object.keys(about.event_types);
  at("type").replaceChildren(...types.map((type) => new Option(type, type, false, task?.event_types[0] === type)));
  const users = await ask("v1/users");
  for (const entity of users) at("entity").append(new Option(entity, entity));
  at("entity").value = users[0] ?? "";
  await choose(users[0] ?? null, null);
}

function describe() {
  const task = state.task;
  at("about").textContent = task
    ? `${task.task} by ${task.model} v${task.model_version}` +
      (task.answers ? `, with features of ${task.features_ds}` : ` over ${task.items.toLocaleString("en")} items`) +
      (state.ds ? `; users of ${state.ds}` : "; no users are published")
    : "no champion is in service yet";
}

// What is predicted as a list, whatever the task: items, its answers, or its one value under its own name.
function listed(prediction) {
  if (prediction.value !== null) return [{ item_id: prediction.task, score: prediction.value }];
  return prediction.items.length ? prediction.items : prediction.answers.map((each) => ({ item_id: each.name, score: each.value }));
}

async function choose(entity, user) {
  Object.assign(state, { entity, user, known: [], added: [], chosen: null, places: new Map(), before: new Map(), compared: null, all: false });
  if (entity) state.known = (await ask(`v1/users/${encodeURIComponent(entity)}`)).events;
  await refresh();
}

async function refresh() {
  const turn = ++state.turn;
  const prediction = (await ask("v1/predictions", question())).predictions[0];
  const items = listed(prediction).map((item) => item.item_id);
  const chosen = items.includes(state.chosen) ? state.chosen : items[0];
  const explained = chosen ? await ask("v1/explanations", { ...question(), items: [chosen] }) : { events: [], items: [] };
  if (turn !== state.turn) return; // something newer was asked meanwhile
  state.chosen = chosen;
  if (!state.entity && state.user) state.known = explained.events.filter((past) => !state.added.some((each) => identity(each) === identity(past)));
  if (state.added !== state.compared) {
    [state.before, state.places] = [state.places, new Map(items.map((item, place) => [item, place]))];
    state.compared = state.added;
  }
  drawPredictions(prediction);
  drawTimeline(explained);
  document.body.dataset.ready = String(turn); // for who waits for the page
}

function drawPredictions(prediction) {
  const shown = listed(prediction);
  const scores = shown.map((item) => item.score);
  // Of items only the order counts; probabilities and amounts are seen from nothing on.
  const [most, least] = [Math.max(...scores, prediction.value === null ? -Infinity : 1), prediction.items.length ? Math.min(...scores) : 0];
  const interval = prediction.low === null ? "" : ` (${prediction.low.toFixed(2)} to ${prediction.high.toFixed(2)})`;
  at("model").textContent = `${prediction.model} v${prediction.model_version}`;
  at("reason").textContent = prediction.reason ?? "";
  at("reason").hidden = !prediction.reason;
  if (prediction.items.length) at("items").replaceChildren(...prediction.items.map((item) => new Option(item.item_id)));
  at("predictions").replaceChildren(...shown.map((item, place) => {
    const row = element("li", item.item_id === state.chosen ? "chosen" : "");
    const name = element("button", "name", item.item_id);
    name.style.setProperty("--share", `${8 + (92 * (item.score - least)) / (most - least || 1)}%`);
    const plus = element("button", "plus", "+");
    plus.title = `add ${item.item_id} to the timeline`;
    plus.onclick = guarded((event) => (event.stopPropagation(), add(item.item_id)));
    row.append(element("span", "rank", place + 1), name, element("span", "score", item.score.toFixed(2) + interval));
    if (prediction.items.length) row.append(plus);
    if (state.before.size) row.append(moved(state.before.get(item.item_id), place));
    row.onclick = guarded(() => ((state.chosen = item.item_id), refresh()));
    return row;
  }));
}

function moved(before, now) {
  if (before === undefined) return element("span", "move new", "new");
  if (before === now) return element("span", "move", "");
  return before > now ? element("span", "move", `▲${before - now}`) : element("span", "move down", `▼${now - before}`);
}

function drawTimeline(explained) {
  const changes = new Map(explained.events.map((past, place) => [identity(past), explained.items[0]?.changes[place]]));
  const largest = Math.max(1e-9, ...[...changes.values()].map((value) => Math.abs(value ?? 0)));
  const added = new Set(state.added.map(identity));
  const known = state.known.filter((past) => !added.has(identity(past)));
  const events = [...known, ...state.added].sort((one, other) => Date.parse(other.at) - Date.parse(one.at));
  const visits = new Map(explained.events.map((past) => [identity(past), past.session]));
  const shown = state.all ? events : events.slice(0, SHOWN);
  const rows = [];
  let last = null;
  for (const past of shown) {
    const visit = visits.get(identity(past)) ?? past.session ?? "";
    const label = `${past.at.slice(0, 10)}${visit ? `, visit ${visit}` : ""}`;
    if (label !== last) rows.push(element("li", "visit", label));
    last = label;
    rows.push(eventRow(past, changes.get(identity(past)), largest, added.has(identity(past))));
  }
  at("timeline").replaceChildren(...rows);
  at("count").textContent = events.length ? `${events.length} events, newest first` : "nothing yet: add an event";
  at("more").hidden = shown.length === events.length;
}

function eventRow(past, change, largest, isAdded) {
  const row = element("li", `event${change === undefined ? " unseen" : ""}${isAdded ? " added" : ""}`);
  const what = element("span", "what", past.item_id || "—");
  what.append(element("small", "", past.event_type));
  if (isAdded) {
    const away = element("button", "", "×");
    away.title = "take it away again";
    away.onclick = guarded(() => ((state.added = state.added.filter((each) => each !== past)), refresh()));
    what.append(away);
  }
  const effect = element("span", `effect${change < 0 ? " less" : ""}`);
  if (change !== undefined) {
    const bar = element("i", "");
    bar.style.width = `${(48 * Math.abs(change)) / largest}%`;
    effect.append(bar, element("span", "", signed(change)));
    effect.classList.toggle("none", change === 0);
    effect.title = `${state.chosen}: ${signed(change)} by this event`;
  } else {
    effect.title = "the model does not look at this event";
  }
  row.append(element("time", "", past.at.slice(11, 16)), what, effect);
  return row;
}

async function add(item, type = at("type").value) {
  state.added = [...state.added, { item_id: item, event_type: type, at: new Date().toISOString() }];
  await refresh();
}

at("entity").onchange = guarded(() => ((at("user").value = ""), choose(at("entity").value || null, null)));
at("find").onsubmit = guarded(() => ((at("entity").value = ""), choose(null, at("user").value.trim() || null)));
at("add").onsubmit = guarded(async () => {
  await add(at("item").value.trim());
  at("item").value = "";
});
at("more").onclick = guarded(() => ((state.all = true), refresh()));
at("unlock").onsubmit = guarded(() => (sessionStorage.setItem("key", at("key").value), start()));
guarded(start)();
