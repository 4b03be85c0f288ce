// Passkeys: between a form of ours, the browser, and the device that holds the key.
//
// <form data-passkey="create|get" data-begin="where the challenge comes from" action="where the answer goes"
//   data-text-…="what may go wrong"> with a place for that, [data-passkey-problem].

import { askForm, Offline } from "./http.js";

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) {
    form.querySelector("button").disabled = true;
    complain(form, form.dataset.textUnknown);
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(form);
  });
}

async function run(form) {
  const button = form.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  complain(form, "");
  try {
    await exchange(form);
  } catch (error) {
    complain(form, error instanceof Offline ? form.dataset.textOffline : wordsOf(error, form.dataset));
  } finally {
    button.disabled = false;
  }
}

/** Ask for a challenge, let the device answer it, bring the answer. */
async function exchange(form) {
  const begun = await askForm(form.dataset.begin, new FormData(form));
  if (begun.status !== 200) return complain(form, begun.body.message || form.dataset.textOffline);
  const made = form.dataset.passkey === "create" ? await create(begun.body.options) : await get(begun.body.options);
  const filled = new FormData(form);
  filled.delete("password");
  filled.set("credential", JSON.stringify(made));
  const done = await askForm(form.action, filled);
  if (done.status === 200) location.assign(done.body.next);
  else complain(form, done.body.message || form.dataset.textOffline);
}

async function create(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: (options.excludeCredentials ?? []).map(withBytes),
    },
  });
  return {
    ...named(made),
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
      transports: made.response.getTransports?.() ?? [],
    },
  };
}

async function get(options) {
  const allowCredentials = (options.allowCredentials ?? []).map(withBytes);
  const found = await navigator.credentials.get({
    publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials },
  });
  const { clientDataJSON, authenticatorData, signature, userHandle } = found.response;
  return {
    ...named(found),
    response: {
      clientDataJSON: text(clientDataJSON),
      authenticatorData: text(authenticatorData),
      signature: text(signature),
      userHandle: userHandle ? text(userHandle) : null,
    },
  };
}

function named(credential) {
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type, clientExtensionResults: {} };
}

function withBytes(descriptor) {
  return { ...descriptor, id: bytes(descriptor.id) };
}

function bytes(base64url) {
  return Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
}

function text(buffer) {
  const binary = Array.from(new Uint8Array(buffer), (each) => String.fromCharCode(each)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function wordsOf(error, texts) {
  return { InvalidStateError: texts.textKnown, NotAllowedError: texts.textCancelled }[error.name] ?? texts.textFailed;
}

function complain(form, words) {
  const place = form.querySelector("[data-passkey-problem]");
  place.textContent = words ?? "";
  place.hidden = !words;
}
