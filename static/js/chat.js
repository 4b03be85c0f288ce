// The chat page: asks through the streaming API and writes the answer as it comes. The server draws everything else.

import { Answer } from "./answer.js";
import { Composer } from "./composer.js";
import { Follower } from "./follow.js";
import { askEvents, askFragment, askJson, Offline } from "./http.js";
import { grouped, worth } from "./numbers.js";
import { Player } from "./player.js";
import { Recorder } from "./recorder.js";
import { announce } from "./say.js";

// After a stop the model's report is read on for a moment; then the price of what was written is known.
const SETTLE_EVERY_MS = 700;
const SETTLE_TRIES = 20;

const root = document.querySelector("[data-chat]");
const text = root.dataset;
const turns = root.querySelector("[data-turns]");

for (const turn of turns.querySelectorAll(".turn.answer")) {
  new Answer(turn, text).show(turn.querySelector("[data-said]").textContent);
}
const follower = new Follower(root.querySelector("[data-log]"), root.querySelector("[data-to-end]"));
const form = root.querySelector("[data-composer]");
const composer = form && new Composer(form, { send: (question) => ask(question) });
const spent = () => refresh("#purse").catch(() => {});

new Player(turns, text, { spent });
if (form?.querySelector("[data-speak]")) {
  new Recorder(form, {
    heard: (words) => {
      composer.add(words);
      spent();
    },
  });
}

turns.addEventListener("click", (event) => {
  const example = event.target.closest("[data-example]");
  if (!example || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  composer.write(example.textContent);
});

/** Puts a question. A repeat has the same key: whatever became of the first try, it is asked and paid once. */
async function ask(question, key = newKey(), mine = add("mine", question)) {
  turns.querySelector("[data-welcome]")?.remove();
  const answer = new Answer(add("answer"), text, () => follower.grown());
  const stop = new AbortController();
  const lost = () => stop.abort(new Offline());
  addEventListener("offline", lost);
  composer.working(() => stop.abort());
  follower.toEnd();
  announce(text.textAsking);
  let problem;
  try {
    problem = await listen(answer, question, key, stop.signal);
  } catch (error) {
    if (!(error instanceof Offline)) throw error;
    const wanted = stop.signal.aborted && !(stop.signal.reason instanceof Offline);
    problem = { words: wanted ? "" : answer.id ? text.textBroken : text.textOffline, unsettled: wanted || answer.id };
  } finally {
    removeEventListener("offline", lost);
    composer.working(null);
  }
  if (problem?.unsettled) await settle(answer);
  if (problem?.words || problem?.broke) complain(problem, { question, key, mine, answer });
  follower.grown();
}

/** Reads the events of one answer; returns what went wrong, if anything did. Raises Offline when they end early. */
async function listen(answer, question, key, signal) {
  const asked = { sessionId: text.session, content: question, contentType: "text", model: composer.model };
  for await (const { event, data } of askEvents(form.dataset.stream, asked, { headers: { "Idempotency-Key": key }, signal })) {
    if (event === "refused") return refused(data);
    if (event === "start") begin(answer, data);
    if (event === "delta") answer.write(data.content);
    if (event === "done") return finish(answer, data);
    if (event === "error") return { words: data.message, unsettled: true };
  }
  throw new Offline();
}

function begin(answer, { sessionId, messageId, model }) {
  answer.begin(messageId, model);
  composer.keep("");
  if (!text.session) {
    text.session = sessionId;
    history.replaceState({}, "", `${text.page}/${sessionId}`);
  }
  // What has been written meanwhile is the next question.
  composer.changed();
  refresh("#session-list", "#talk-about").catch(() => {});
}

function finish(answer, { content, quota, balance }) {
  answer.show(content);
  answer.cost(quota);
  const shown = document.querySelector("[data-balance-shown]");
  shown.textContent = grouped(balance);
  document.querySelector("[data-balance-worth]").textContent = worth(balance, text.rate);
  announce(text.textAnswered.replace("{quota}", grouped(quota)));
  return null;
}

function refused({ status, message }) {
  if (status === 401) location.reload();
  return { words: message || text.textFailed, broke: status === 402 };
}

/** After a stop: what was written and what it cost, as the server has it. */
async function settle(answer) {
  answer.stopped();
  for (let tries = 0; answer.id && tries < SETTLE_TRIES; tries++) {
    await new Promise((done) => setTimeout(done, SETTLE_EVERY_MS));
    const { status, body } = await askJson(`${text.messages}/${answer.id}`).catch(() => ({}));
    if (status === 200 && body.data.settled) {
      answer.show(body.data.content);
      answer.cost(body.data.quota);
      announce(text.textStoppedCost.replace("{quota}", grouped(body.data.quota)));
      break;
    }
  }
  await refresh("#purse").catch(() => {});
}

/** Parts of the page as the server draws them now. */
async function refresh(...parts) {
  const fragment = await askFragment(text.session ? `${text.page}/${text.session}` : text.page);
  if (!fragment) return;
  for (const part of parts) {
    const fresh = fragment.querySelector(part);
    if (fresh) document.querySelector(part).replaceChildren(...fresh.childNodes);
  }
  document.title = fragment.querySelector("title").textContent;
}

/** What went wrong, under the question it went wrong with; nothing that was written is lost. */
function complain({ words: what, broke }, { question, key, mine, answer }) {
  const card = copyOf(broke ? "broke" : "trouble");
  if (!broke) card.querySelector("[data-words]").textContent = what;
  answer.turn.after(card);
  if (!answer.id) {
    answer.turn.remove();
    composer.keep(question);
  }
  card.querySelector("[data-again]").addEventListener("click", () => {
    card.remove();
    if (answer.id) ask(question);
    else ask(question, key, mine);
  });
  card.querySelector("[data-edit]")?.addEventListener("click", () => {
    card.remove();
    if (!answer.id) mine.remove();
    composer.write(question);
  });
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
