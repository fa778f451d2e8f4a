// Recording with the microphone; the result is a file like any other.

import { byId } from "./dom.js";
import { openMicrophone, peakOf } from "./microphone.js";
import { secondsIn, wavBlob } from "./wav.js";
import { clock } from "./words.js";

// ``done`` gets the file; ``fail`` gets an error; ``most`` is {bytes, seconds}: recording ends there by itself.
export function connectRecorder(done, fail, most) {
  let microphone = null;
  let opening = false;
  let blocks = [];
  let count = 0;

  const show = (isOpen) => {
    byId("recorder").hidden = !isOpen;
    byId("record").disabled = isOpen;
    byId("recorded").textContent = clock(0, 1);
    byId("level").value = 0;
  };
  const end = () => {
    microphone?.close();
    const kept = { blocks, rate: microphone?.rate };
    microphone = null;
    blocks = [];
    count = 0;
    show(false);
    byId("record").focus();
    return kept;
  };
  const finish = () => {
    if (!microphone) {
      return;
    }
    const kept = end();
    if (kept.blocks.length === 0) {
      fail(new Error("The microphone gave no sound: try again."));
      return;
    }
    const stamp = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
    done(new File([wavBlob(kept.blocks, kept.rate)], `recording ${stamp}.wav`, { type: "audio/wav" }));
  };
  const heard = (block) => {
    blocks.push(block);
    count += block.length;
    if (!microphone) {
      return;
    }
    const seconds = count / microphone.rate;
    byId("recorded").textContent = clock(seconds, 1);
    byId("level").value = Math.sqrt(peakOf(block)); // quiet scenes show too
    if (seconds >= Math.min(most.seconds, secondsIn(most.bytes, microphone.rate)) - 0.2) {
      finish();
    }
  };

  byId("record").addEventListener("click", async () => {
    if (opening || microphone) {
      return;
    }
    opening = true;
    try {
      microphone = await openMicrophone(heard, finish);
      show(true);
      byId("record-stop").focus();
    } catch (error) {
      fail(error);
    } finally {
      opening = false;
    }
  });
  byId("record-stop").addEventListener("click", finish);
  byId("record-discard").addEventListener("click", end);
}
