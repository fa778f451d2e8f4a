// What the page asks the server: the model, the examples, and the classification of a file.

export class Refused extends Error {}

export async function getJson(path) {
  let response;
  try {
    response = await fetch(path);
  } catch {
    throw new Refused("The server cannot be reached: is mil-asc serve still running?");
  }
  if (!response.ok) {
    throw new Refused(sentence(response.status, await response.text(), response.headers.get("Retry-After")));
  }
  return response.json();
}

// A recording that the server has, as a file that the page can send and play.
export async function getFile(path, name, signal) {
  let response;
  try {
    response = await fetch(path, { signal });
    if (response.ok) {
      const data = await response.blob();
      return new File([data], name, { type: data.type });
    }
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new Refused("The server cannot be reached: is mil-asc serve still running?");
  }
  throw new Refused(sentence(response.status, await response.text(), response.headers.get("Retry-After")));
}

// Sends a file; resolves to the answer. ``sent`` is told the share that is sent (0 to 1); ``signal`` cancels.
export function classify(file, rule, sent, signal) {
  const query = new URLSearchParams({ name: file.name });
  if (rule) {
    query.set("assumption", rule);
  }
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const cancel = () => request.abort();
    request.open("POST", `/classify?${query}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => sent(event.lengthComputable ? event.loaded / event.total : null);
    request.upload.onload = () => sent(1);
    request.onload = () => {
      if (request.status === 200) {
        resolve(JSON.parse(request.responseText));
      } else {
        const wait = request.getResponseHeader("Retry-After");
        reject(new Refused(sentence(request.status, request.responseText, wait)));
      }
    };
    request.onerror = () => reject(new Refused(
      "The connection was lost before the server answered: is mil-asc serve still running, and can the file be read?"));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", cancel);
    signal.addEventListener("abort", cancel);
    request.send(file);
  });
}

// The sentence for a person: the server's own, and when to try again.
function sentence(status, body, wait) {
  let said = `The server answered with status ${status}.`;
  try {
    const own = JSON.parse(body).error;
    said = typeof own === "string" && own ? `The server says: ${/[.!?]$/.test(own) ? own : `${own}.`}` : said;
  } catch {
    // an answer of something between page and server, which is not JSON: its status has to do
  }
  if (status === 429) {
    said += wait ? ` Wait ${wait} s, then try again.` : " Try again in a moment.";
  }
  return said;
}
