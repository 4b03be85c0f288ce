// The chat page: asks through the streaming API and writes the answer as it comes. The server draws everything else.

import { Answer, fetchProse } from "./answer.js";
import { pathsOf } from "./attachments.js";
import { Composer } from "./composer.js";
import { Follower } from "./follow.js";
import { askEvents, askFragment, askJson, Offline } from "./http.js";
import { HandsFree } from "./handsfree.js";
import { grouped, worth } from "./numbers.js";
import { Player } from "./player.js";
import { Recorder } from "./recorder.js";
import { announce } from "./say.js";
import { Sessions } from "./sessions.js";
import { Turns } from "./turns.js";

// The price of what was written is known a moment after it ended early.
const SETTLE_EVERY_MS = 700;
const SETTLE_TRIES = 20;
// An answer goes on without us: a lost connection is made again, so often, at this pace.
const AGAIN_EVERY_MS = 1000;
const AGAIN_TRIES = 60;

const root = document.querySelector("[data-chat]");
const text = root.dataset;
const turns = root.querySelector("[data-turns]");

const answers = [...turns.querySelectorAll(".turn.answer:not([data-live])")].map((turn) => new Answer(turn, text));
if (answers.length) await fetchProse();
for (const answer of answers) answer.show(answer.place.textContent);
const landed = location.hash && turns.querySelector(`#${CSS.escape(location.hash.slice(1))}`);
const follower = new Follower(root.querySelector("[data-log]"), root.querySelector("[data-to-end]"), landed);
const form = root.querySelector("[data-composer]");
const composer = form && new Composer(form, { send: (question) => ask(question) });
// Who writes a question will see an answer.
form?.addEventListener("input", fetchProse, { once: true });
const spent = () => refresh("#purse").catch(() => {});
const sessions = new Sessions(root.querySelector("#sessions"), { restore: () => refresh("#session-list").catch(() => {}) });
// What a conversation that has not begun is set to: sent along with its first question.
let setting = {};
let working = false;
if (form) new Turns(turns, text, { ask, add, busy: () => working });

const player = new Player(turns, text, { spent });
let handsFree = null;
if (form?.querySelector("[data-speak]")) {
  const recorder = new Recorder(form, {
    heard: (words, quota) => {
      if (!handsFree?.heard(words)) composer.add(words);
      composer.cost(quota, text);
      spent();
    },
  });
  const button = form.querySelector("[data-handsfree]");
  if (button) handsFree = new HandsFree(button, { recorder, player, texts: text, send: (words) => composer.sendNow(words) });
}

const live = turns.querySelector("[data-live]");
if (form && live) resume(live);

turns.addEventListener("click", (event) => {
  const example = event.target.closest("[data-example]");
  if (!example || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  composer.write(example.textContent);
});

root.addEventListener("submit", (event) => {
  if (text.session || !event.target.matches("[data-setting]")) return;
  event.preventDefault();
  const { system_prompt: prompt, temperature } = event.target.elements;
  setting = { systemPrompt: prompt.value, temperature: temperature.value || null };
  root.querySelector("#setting").hidePopover();
});

/** Puts a question behind `parent`, or at the end of the branch in sight; or has the answer `parent` go on. A repeat has
 * the same key: whatever became of the first try, it is asked and paid once. */
async function ask(question, { key = newKey(), mine = composer.attachTo(add("mine", question)), parent = text.leaf, continues, restore } = {}) {
  turns.querySelector("[data-welcome]")?.remove();
  mine.dataset.parent = parent || "root";
  const answer = new Answer(add("answer"), text, () => follower.grown());
  follower.toEnd();
  announce(text.textAsking);
  const body = { sessionId: text.session, contentType: "text", model: composer.model, ...setting };
  if (parent) body.parentId = parent;
  body.attachments = pathsOf(mine);
  Object.assign(body, continues ? { continues } : { content: question });
  const problem = await hear(answer, key, (signal) =>
    askEvents(form.dataset.stream, { body, headers: { "Idempotency-Key": key }, signal }),
  );
  if (problem?.words || problem?.broke) complain(problem, { question, key, mine, answer, parent, continues, restore });
  else handsFree?.answered(answer.turn);
  follower.grown();
}

/** Reads on where the page that was here before had to leave off. */
async function resume(turn) {
  const answer = new Answer(turn, text, () => follower.grown());
  answer.show(turn.querySelector("[data-said]").textContent);
  answer.goOn();
  const problem = await hear(answer, "", null);
  const question = turn.previousElementSibling?.querySelector("[data-said]")?.textContent ?? "";
  if (problem?.words) complain(problem, { question, answer });
  follower.grown();
}

/** Listens to an answer until it is over, through every connection that is lost; returns what went wrong, if anything. */
async function hear(answer, key, ask) {
  let problem;
  let wanted = true;
  working = true;
  composer.working(() => {
    wanted = false;
    stop(answer, key);
  });
  try {
    for (let tries = 0; ; tries++) {
      const begun = answer.length;
      problem = await listen(answer, ask && !answer.id ? ask : (signal) => theRest(answer, signal));
      if (!problem?.offline || (!answer.id && wanted) || tries === AGAIN_TRIES) break;
      if (answer.length > begun) tries = 0;
      await new Promise((done) => setTimeout(done, AGAIN_EVERY_MS));
    }
  } finally {
    composer.working(null);
    working = false;
  }
  if (problem?.offline) problem = { words: answer.id ? text.textBroken : text.textOffline, unsettled: answer.id };
  // What is wrong is said at once, what it cost when that is known.
  if (problem?.unsettled) settle(answer, wanted ? text.textCut : text.textStopped);
  return problem;
}

function theRest(answer, signal) {
  return askEvents(`${text.messages}/${answer.id}/events?after=${answer.length}`, { signal });
}

/** Reads the events of one connection; returns what went wrong, if anything did. */
async function listen(answer, ask) {
  const line = new AbortController();
  const lost = () => line.abort(new Offline());
  addEventListener("offline", lost);
  try {
    for await (const { event, data } of ask(line.signal)) {
      if (event === "refused") return data.status >= 500 && answer.id ? { offline: true } : refused(answer, data);
      if (event === "start") begin(answer, data);
      if (event === "delta") answer.write(data.content);
      if (event === "done") return finish(answer, data);
      if (event === "stopped") return halt(answer, data);
      if (event === "error") return data.messageId ? refused(answer, data) : { words: data.message, unsettled: true };
    }
  } catch (error) {
    if (!(error instanceof Offline)) throw error;
  } finally {
    removeEventListener("offline", lost);
  }
  return { offline: true };
}

/** Has the server stop an answer, wherever that is written: by its id or, before that is known, by its question's key. */
async function stop(answer, key) {
  for (let tries = 0; tries < SETTLE_TRIES; tries++) {
    const asked = answer.id ? { body: { messageId: answer.id } } : { body: {}, headers: { "Idempotency-Key": key } };
    const { status } = await askJson(text.stopUrl, asked).catch(() => ({}));
    if (status && status !== 404 && status < 500) return;
    // The question may be on its way yet.
    await new Promise((done) => setTimeout(done, SETTLE_EVERY_MS));
  }
}

function begin(answer, { sessionId, messageId, model, failed }) {
  const known = answer.id === messageId;
  answer.begin(messageId, model);
  if (failed) tellInstead(answer, failed, model);
  if (known) return;
  composer.keep("");
  text.leaf = messageId;
  text.session = sessionId;
  setting = {};
  // The branch in sight is the one that was asked in last.
  history.replaceState({}, "", `${text.page}/${sessionId}`);
  // What has been written meanwhile is the next question.
  composer.changed();
  refresh("#session-list", "#talk-about").then((fragment) => versions(answer, fragment)).catch(() => {});
}

/** That others were asked before, and did not answer. */
function tellInstead(answer, failed, model) {
  const words = text.textInstead.replace("{failed}", failed.join(", ")).replace("{model}", model);
  answer.part("foot").hidden = false;
  answer.part("instead").hidden = false;
  answer.part("instead").textContent = words;
  announce(words);
}

/** Which other versions there are of a new turn, as the server tells. */
function versions(answer, fragment) {
  const drawn = fragment?.getElementById(answer.id);
  if (!drawn) return;
  const [mine, drawnMine] = [answer.turn.previousElementSibling, drawn.previousElementSibling];
  for (const [here, there] of [[answer.turn, drawn], [mine, drawnMine]]) {
    const fresh = there?.querySelector("[data-switch]");
    if (fresh) here?.querySelector("[data-switch]")?.replaceChildren(...fresh.childNodes);
  }
  if (mine?.matches(".mine") && drawnMine?.matches(".mine")) {
    mine.id = drawnMine.id;
    const [edit, drawnEdit] = [mine, drawnMine].map((each) => each.querySelector("[data-edit-turn]"));
    edit.href = drawnEdit.href;
    edit.hidden = false;
  }
}

function finish(answer, { content, quota, balance }) {
  answer.show(content);
  answer.cost(quota);
  player.price(answer.turn);
  const shown = document.querySelector("[data-balance-shown]");
  shown.textContent = grouped(balance);
  document.querySelector("[data-balance-worth]").textContent = worth(balance, text.rate);
  announce(text.textAnswered.replace("{quota}", grouped(quota)));
  return null;
}

/** It was stopped, here or on another page. */
function halt(answer, { content, quota, balance }) {
  finish(answer, { content, quota, balance });
  answer.stopped();
  answer.cost(quota);
  answer.part("go-on").hidden = !content;
  announce(text.textStoppedCost.replace("{quota}", grouped(quota)));
  return null;
}

function refused(answer, { status, message, sessionId, messageId }) {
  if (status === 401) location.reload();
  // The question is kept, and after a reload the page says that it was not answered.
  if (messageId) {
    begin(answer, { sessionId, messageId, model: "" });
    answer.turn.hidden = true;
  }
  return { words: message || text.textFailed, broke: status === 402 };
}

/** Of an answer that ended early: what was written and what it cost, as the server has it. */
async function settle(answer, note) {
  answer.stopped(note);
  for (let tries = 0; answer.id && tries < SETTLE_TRIES; tries++) {
    await new Promise((done) => setTimeout(done, SETTLE_EVERY_MS));
    const { status, body } = await askJson(`${text.messages}/${answer.id}`).catch(() => ({}));
    if (status === 200 && body.data.settled) {
      answer.show(body.data.content);
      answer.cost(body.data.quota);
      answer.part("go-on").hidden = !body.data.content;
      announce(text.textStoppedCost.replace("{quota}", grouped(body.data.quota)));
      break;
    }
  }
  await refresh("#purse").catch(() => {});
}

/** Parts of the page as the server draws them now; returns the rest of that. */
async function refresh(...parts) {
  const fragment = await askFragment(text.session ? `${text.page}/${text.session}` : text.page);
  if (!fragment) return null;
  for (const part of parts) {
    const fresh = fragment.querySelector(part);
    const found = part === "#session-list" && sessions.searching;
    if (fresh && !found) document.querySelector(part).replaceChildren(...fresh.childNodes);
  }
  document.title = fragment.querySelector("title").textContent;
  return fragment;
}

/** What went wrong, under the question it went wrong with; nothing that was written is lost. */
function complain({ words: what, broke }, { question, key, mine, answer, parent, continues, restore }) {
  handsFree?.failed();
  const card = copyOf(broke ? "broke" : "trouble");
  if (!broke) card.querySelector("[data-words]").textContent = what;
  answer.turn.after(card);
  if (!answer.id) {
    answer.turn.remove();
    if (!restore) composer.keep(question);
  }
  if (!answer.id && restore) return putBack(card, mine, restore);
  const further = card.querySelector("[data-go-on-here]");
  if (further && answer.id && answer.written) {
    further.hidden = false;
    further.addEventListener("click", () => answer.part("go-on").click());
  }
  card.querySelector("[data-again]").addEventListener("click", () => {
    card.remove();
    if (answer.id) answer.part("regenerate").click();
    else ask(question, { key, mine, parent, continues });
  });
  card.querySelector("[data-edit]")?.addEventListener("click", () => {
    card.remove();
    if (answer.id) return answer.question?.querySelector("[data-edit-turn]").click();
    composer.attached.takeBack(mine);
    mine.remove();
    composer.write(question);
  });
}

/** What an edit, or another answer, took off the page comes back when it came to nothing. */
function putBack(card, mine, restore) {
  if (!mine.id) mine.remove();
  for (const each of card.querySelectorAll("[data-again], [data-edit], [data-go-on-here]")) each.remove();
  card.remove();
  restore();
  turns.append(card);
}

function add(name, said = "") {
  const turn = copyOf(name);
  turn.querySelector("[data-said]").textContent = said;
  if (name === "answer") turn.classList.add("waiting");
  turns.append(turn);
  return turn;
}

function copyOf(name) {
  return document.querySelector(`[data-template=${name}]`).content.cloneNode(true).firstElementChild;
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
