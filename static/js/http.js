// Requests to our own server. An answer, whatever its status, is returned; only silence throws.

import { events } from "./events.js";

const TIMEOUT_MS = 15_000;
const SLOW_MS = 120_000;

/** The server could not be reached, or did not answer in time. */
export class Offline extends Error {}

function csrfToken() {
  const named = (name) => document.cookie.match(new RegExp(`(?:^|; )${name}=([^;]+)`))?.[1];
  return named("__Host-csrftoken") ?? named("csrftoken") ?? "";
}

function headersOf(more) {
  return { Accept: "application/json", "X-CSRFToken": csrfToken(), ...more };
}

const JSON_BODY = { "Content-Type": "application/json" };

function formOf(file, name) {
  const form = new FormData();
  form.append("file", file, name);
  form.append("fileName", name);
  return form;
}

async function reach(url, options) {
  try {
    return await fetch(url, { credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
  } catch {
    throw new Offline();
  }
}

/** Sends and reads JSON: {status, body, waitS}. */
export async function askJson(url, { body, headers } = {}) {
  const posted = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await reach(url, {
    ...posted,
    headers: headersOf({ ...JSON_BODY, ...headers }),
  });
  return {
    status: response.status,
    body: await response.json().catch(() => ({})),
    waitS: Number(response.headers.get("Retry-After")) || 0,
    orderId: response.headers.get("X-Order-Id"),
  };
}

/** Sends a form with its own token and reads JSON: {status, body}. */
export async function askForm(url, form) {
  const response = await reach(url, { method: "POST", body: form, headers: { Accept: "application/json" } });
  return { status: response.status, body: await response.json().catch(() => ({})) };
}

/** Sends a file to be kept: {status, body}. A slow phone may take its time. */
export async function sendFile(url, file, name) {
  const posted = { method: "POST", body: formOf(file, name), headers: headersOf() };
  const response = await reach(url, { ...posted, signal: AbortSignal.timeout(SLOW_MS) });
  return { status: response.status, body: await response.json().catch(() => ({})) };
}

/** The same, telling how much of it is sent, from 0 to 1. fetch cannot tell. */
export function sendFileTelling(url, file, name, { told, signal }) {
  const request = new XMLHttpRequest();
  return new Promise((done, failed) => {
    for (const bad of ["error", "timeout", "abort"]) request.addEventListener(bad, () => failed(new Offline()));
    request.addEventListener("load", () => done({ status: request.status, body: request.response ?? {} }));
    request.upload.addEventListener("progress", ({ loaded, total }) => told(total ? loaded / total : 0));
    signal.addEventListener("abort", () => request.abort());
    request.open("POST", url);
    request.responseType = "json";
    request.timeout = SLOW_MS;
    for (const [header, value] of Object.entries(headersOf())) request.setRequestHeader(header, value);
    request.send(formOf(file, name));
  });
}

/** Takes a kept file away again. */
export async function forgetFile(url) {
  await reach(url, { method: "DELETE", headers: headersOf() });
}

/** Sends JSON to what a model has to work at: {status, body}, or {status, sound} when the answer is a sound. */
export async function askModel(url, body) {
  const response = await reach(url, {
    method: "POST",
    body: JSON.stringify(body),
    headers: headersOf(JSON_BODY),
    signal: AbortSignal.timeout(SLOW_MS),
  });
  const kind = response.headers.get("Content-Type") ?? "";
  if (kind.startsWith("audio/")) return { status: response.status, sound: await response.blob() };
  return { status: response.status, body: await response.json().catch(() => ({})) };
}

/** Sends JSON, if there is a body, and yields the events of the answer, {event, data}. One that is no stream is a single
 * event "refused", with its status in the data. */
export async function* askEvents(url, { body, headers, signal }) {
  const posted = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await reach(url, {
    ...posted,
    headers: headersOf({ ...JSON_BODY, Accept: "text/event-stream, application/json", ...headers }),
    signal,
  });
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
    const body = await response.json().catch(() => ({}));
    yield { event: "refused", data: { ...body, status: response.status } };
    return;
  }
  try {
    yield* events(response.body);
  } catch {
    throw new Offline();
  }
}

/** A piece of a page, or null when it is not there for us any more (signed out, not ours). */
export async function askFragment(url) {
  const response = await reach(url, { headers: { Accept: "text/html" } });
  if (response.redirected || response.status === 404) return null;
  if (!response.ok) throw new Offline();
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  return template.content;
}
