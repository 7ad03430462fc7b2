"use strict";

const LOOK_EVERY = 1000; // ms
const AT_WORK = new Set(["running", "stopping"]);

/** The card from which the video is segmented, and which shows how far that is. */
class RunCard {
  /** before(): a promise that all is saved; onEnd(status): after a run, and when there is none. */
  constructor(before, onEnd) {
    Object.assign(this, { before, onEnd, state: null });
    byId("segment").addEventListener("click", () => this.tell(() => this.start()));
    byId("stop").addEventListener("click", () => this.tell(() => this.ask("DELETE")));
    this.tell(() => this.ask("GET"));
  }

  /** Does something, and shows why it failed. */
  async tell(something) {
    try {
      await something();
    } catch (error) {
      byId("run-state").textContent = error.message;
      this.show({ state: this.state ?? "idle" }, error.message);
    }
  }

  async start() {
    byId("segment").disabled = true;
    if (!await this.before()) {
      throw new Error("the drawings are not saved yet; see above");
    }
    await this.ask("POST", asJson({ anew: this.trainsAnew }));
  }

  async ask(method, sent = {}) {
    const status = await (await ask(method, "/api/segment", sent)).json();
    const wasAtWork = AT_WORK.has(this.state);
    const isFirst = this.state === null;
    const isNew = this.state !== status.state && !isFirst;
    this.state = status.state;
    this.show(status);
    if (isNew) byId("segment").closest("section").scrollIntoView({ block: "nearest" });
    if (AT_WORK.has(status.state)) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.tell(() => this.ask("GET")), LOOK_EVERY);
    } else if (wasAtWork || isFirst) this.onEnd(status);
  }

  show({ state, done = 0, total = 0, atWork = [], lines = [], seconds = 0, asksToTrainAnew = false },
    problem = "") {
    const isAtWork = AT_WORK.has(state);
    this.trainsAnew = asksToTrainAnew;
    byId("segment").disabled = isAtWork;
    byId("segment").textContent = asksToTrainAnew ? "Train anew" :
      state === "stopped" ? "Go on" : "Segment the video";
    byId("stop").hidden = !isAtWork;
    byId("stop").disabled = state === "stopping";
    byId("progress").hidden = !isAtWork;
    if (total) byId("progress").value = done / total;
    else byId("progress").removeAttribute("value");
    byId("run-state").textContent = problem || this.words(state, done, total, seconds);
    const told = state === "failed" ? lines.slice(-4) : atWork.length ? atWork : isAtWork ? lines.slice(-1) : [];
    byId("run-lines").textContent = told.join("\n");
    byId("run-lines").hidden = !told.length;
  }

  words(state, done, total, seconds) {
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;
    const jobs = total ? `${done} of ${total} jobs done` : "preparing";
    return {
      idle: "", stopping: "stopping …",
      failed: this.trainsAnew ? "Its model is of another first drawing, or of other settings:" : "It failed:",
      running: `${jobs}, ${time}`,
      stopped: "Stopped; it goes on from there.",
      done: `Done in ${time}. Look through the result below.` }[state];
  }
}
