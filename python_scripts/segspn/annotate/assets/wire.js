"use strict";

const LONGEST = 1 << 23; // px of a run
const HEADERS = { token: "X-Segspn-Token", revision: "X-Segspn-Revision" };

/** Runs of equal pixels, as segspn.annotate.wire has them: a Uint32Array. */
function packed(ids) {
  const runs = [];
  let begin = 0;
  for (let i = 1; i <= ids.length; i++) {
    if (i < ids.length && ids[i] === ids[begin] && i - begin < LONGEST) continue;
    runs.push((i - begin) * 256 + ids[begin]);
    begin = i;
  }
  return Uint32Array.from(runs);
}

/** The object ids of runs, a Uint8Array of `size` px. */
function unpacked(runs, size) {
  const ids = new Uint8Array(size);
  let at = 0;
  for (const run of runs) {
    const length = Math.floor(run / 256);
    ids.fill(run & 255, at, at + length);
    at += length;
  }
  if (at !== size) throw new Error(`the mask has ${at} px, the frame ${size}: reload the page`);
  return ids;
}

/** What the server refused: its line, its status, and what else it told. */
class Refusal extends Error {
  constructor(status, told) {
    super(told.error ?? `the page's server answered with status ${status}`);
    Object.assign(this, { status, told });
  }
}

/** Asks the page's server.  Raises Refusal, or Error where it does not answer. */
async function ask(method, path, { body, headers = {}, ...options } = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, ...options,
      headers: { [HEADERS.token]: TOKEN, ...headers } });
  } catch {
    throw new Error("the page's server does not answer; was it ended? Start it again and reload");
  }
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

const TOKEN = new URLSearchParams(location.search).get("token") ?? "";

const asJson = (value) => ({ body: JSON.stringify(value),
  headers: { "Content-Type": "application/json" } });

const planeOf = async (answer, size) => unpacked(new Uint32Array(await answer.arrayBuffer()), size);
const address = (stem, what) => `/api/frames/${encodeURIComponent(stem)}/${what}`;
