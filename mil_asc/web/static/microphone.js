// Samples of the microphone, as they arrive.

import { Refused } from "./server.js";

const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const REASONS = {
  NotAllowedError: "The browser does not allow this page to use the microphone: allow it in the settings of the page.",
  NotFoundError: "No microphone was found: connect one and try again.",
  NotReadableError: "The microphone cannot be read: another program may be using it.",
};

// Why there can be no microphone here; null if there may be one.
export function microphoneMissing() {
  if (navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode) {
    return null;
  }
  return "The browser gives the microphone only to pages at https:// or http://127.0.0.1.";
}

// Opens the microphone. ``heard`` gets Float32Arrays of mono samples; ``lost`` is called if the microphone goes away.
// Resolves to {rate, close}: samples per second, and what ends it.
export async function openMicrophone(heard, lost) {
  const missing = microphoneMissing();
  if (missing) {
    throw new Refused(missing);
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
  } catch (error) {
    throw new Refused(REASONS[error.name] ?? `The microphone cannot be used: ${error.message}`);
  }
  const context = new AudioContext();
  let closed = false;
  const close = () => {
    if (!closed) {
      closed = true;
      stream.getTracks().forEach((track) => track.stop());
      context.close();
    }
  };
  try {
    await context.audioWorklet.addModule("/static/capture-worklet.js");
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    capture.port.onmessage = (event) => {
      if (!closed) {
        heard(event.data);
      }
    };
    context.createMediaStreamSource(stream).connect(capture);
    await context.resume();
  } catch (error) {
    close();
    throw new Refused(`The microphone cannot be used: ${error.message}`);
  }
  stream.getAudioTracks()[0].addEventListener("ended", () => {
    if (!closed) {
      close();
      lost();
    }
  });
  return { rate: context.sampleRate, close };
}

export function peakOf(block) {
  return block.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
}
