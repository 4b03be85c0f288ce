// Speaking instead of typing: records up to a minute, has it understood, and puts the words where one writes.

import { askModel, forgetFile, Offline, sendFile } from "./http.js";
import { announce } from "./say.js";

const MOST_S = 60;
// Where a turn ends by itself: how loud speech is at least, after how much silence it is over, and how long one may
// think before it.
const LOUD = 0.02;
const SILENCE_S = 1.5;
const PATIENCE_S = 10;
const KINDS = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

/** The recording part of the composer. It is idle, asking for the microphone, recording, or having it understood. */
export class Recorder {
  /** `heard` is called with the words. */
  constructor(form, { heard }) {
    this.panel = form.querySelector("[data-recording]");
    this.button = form.querySelector("[data-speak]");
    this.text = this.panel.dataset;
    this.heard = heard;
    // Whether silence ends a recording; `ended` is called when one comes to nothing.
    this.turnEnds = false;
    this.ended = () => {};
    this.button.addEventListener("click", () => this.begin());
    this.part("finish").addEventListener("click", () => this.finish());
    this.part("cancel").addEventListener("click", () => this.cancel());
    this.panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.cancel();
    });
  }

  part(name) {
    return this.panel.querySelector(`[data-${name}]`);
  }

  async begin() {
    if (this.busy) return;
    this.show("asking", this.text.textAsking);
    try {
      this.stream = await microphone();
    } catch (error) {
      this.complain(this.text[reason(error)]);
      return;
    }
    if (!this.busy) {
      // Cancelled while the browser asked.
      this.release();
      return;
    }
    this.record();
  }

  record() {
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    this.pieces = [];
    this.recorder = new MediaRecorder(this.stream, { mimeType, audioBitsPerSecond: 48_000 });
    this.recorder.addEventListener("dataavailable", ({ data }) => this.pieces.push(data));
    this.recorder.addEventListener("stop", () => this.stopped());
    this.recorder.start();
    this.started = performance.now();
    this.loudAt = null;
    this.listen();
    this.show("recording", this.text.textRecording);
    this.part("finish").focus();
    this.tick();
  }

  /** How loud it is, where the browser can tell. */
  listen() {
    this.sound = new AudioContext();
    this.analyser = this.sound.createAnalyser();
    this.analyser.fftSize = 512;
    this.sound.createMediaStreamSource(this.stream).connect(this.analyser);
    this.samples = new Float32Array(this.analyser.fftSize);
  }

  tick() {
    if (this.recorder?.state !== "recording") return;
    const seconds = Math.min(MOST_S, (performance.now() - this.started) / 1000);
    this.part("clock").textContent = clock(seconds);
    this.analyser.getFloatTimeDomainData(this.samples);
    const loudness = Math.sqrt(this.samples.reduce((sum, each) => sum + each * each, 0) / this.samples.length);
    this.part("level").value = Math.min(1, 3 * loudness);
    if (this.turnEnds && this.turnIsOver(loudness)) return;
    if (seconds >= MOST_S) this.finish();
    else this.timer = setTimeout(() => this.tick(), 100);
  }

  /** Ends what was said when nobody goes on, and all of it when nobody begins. */
  turnIsOver(loudness) {
    const now = performance.now();
    if (loudness >= LOUD) this.loudAt = now;
    const silentS = (now - (this.loudAt ?? this.started)) / 1000;
    if (silentS < (this.loudAt ? SILENCE_S : PATIENCE_S)) return false;
    if (this.loudAt) this.finish();
    else this.cancel();
    return true;
  }

  finish() {
    if (this.recorder?.state === "recording") this.recorder.stop();
  }

  cancel() {
    this.cancelled = true;
    this.finish();
    this.release();
    this.hide();
    this.button.focus();
    this.ended();
  }

  /** The recording is complete. */
  async stopped() {
    const recording = new Blob(this.pieces, { type: this.recorder.mimeType });
    this.release();
    if (this.cancelled) return;
    this.show("understanding", this.text.textUnderstanding);
    try {
      await this.understand(recording);
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      this.complain(this.text.textOffline);
    }
  }

  async understand(recording) {
    const kept = await sendFile(this.text.upload, recording, `voice.${recording.type.includes("mp4") ? "m4a" : "webm"}`);
    if (this.cancelled) return;
    if (kept.status !== 200) {
      this.complain(kept.body.message || this.text.textFailed);
      return;
    }
    const { status, body } = await askModel(this.text.transcribe, { audioPath: kept.body.path });
    // It was a means to an end, and would take up the user's room.
    forgetFile(`${this.text.files}${kept.body.path}`).catch(() => {});
    if (this.cancelled) return;
    if (status !== 200 || !body.text) {
      this.complain(status === 200 ? this.text.textSilent : body.message || this.text.textFailed);
      return;
    }
    this.hide();
    announce(this.text.textHeard);
    this.heard(body.text, body.quota);
  }

  release() {
    clearTimeout(this.timer);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.sound?.close();
    this.stream = this.sound = null;
  }

  show(state, words) {
    this.busy = state !== "idle";
    if (state === "asking") this.cancelled = false;
    this.panel.hidden = false;
    this.panel.dataset.state = state;
    this.part("words").textContent = words;
    this.part("meters").hidden = this.part("finish").hidden = state !== "recording";
    this.part("cancel").hidden = state === "idle";
    this.button.disabled = this.busy;
  }

  hide() {
    this.show("idle", "");
    this.panel.hidden = true;
  }

  /** Says what went wrong, until the next try. */
  complain(words) {
    this.release();
    this.show("idle", words);
    this.button.focus();
    this.ended();
  }
}

function microphone() {
  const can = navigator.mediaDevices?.getUserMedia && window.MediaRecorder;
  if (!can) throw Object.assign(new Error(), { name: "NotSupportedError" });
  return navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true } });
}

/** Which text says why there is no sound. */
function reason({ name }) {
  if (name === "NotAllowedError" || name === "SecurityError") return "textForbidden";
  if (name === "NotFoundError" || name === "NotReadableError") return "textNoMicrophone";
  return "textUnable";
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
