/** Keeps a state as long as the page or the process lives. */
export class MemoryState {
  #state = {};
  load() {
    return this.#state;
  }
  save(state) {
    this.#state = state;
  }
}

const saveEveryMs = 1000;

/** Keeps the machine's state in its store, one save at a time. */
export class Keeper {
  #store;
  #log;
  #saving = Promise.resolve();
  #timer = null;
  #deleted = false;
  state;
  /** What went wrong with the last save. */
  error = null;

  constructor(store, state, log) {
    this.#store = store;
    this.#log = log;
    this.state = state;
  }

  /** Saves at once. It never fails: a save that did is told by error, and made good by the next. */
  change(fields) {
    if (this.#deleted) return this.#saving;
    const next = { ...this.state, ...fields };
    if (!this.error && JSON.stringify(next) === JSON.stringify(this.state)) return this.#saving;
    return this.#save(next);
  }

  /** Saves what position gives then, at most once a second. */
  soon(position) {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.change({ position: position() ?? undefined });
    }, saveEveryMs);
  }

  /** Wipes everything but what keeps a deleted machine deleted. */
  forget(deletedWith) {
    this.stop();
    this.#deleted = true;
    return this.#save({ hwid: this.state.hwid, deletedWith });
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  #save(next) {
    this.state = next;
    this.#saving = this.#saving.then(async () => {
      try {
        await this.#store.save(next);
        this.error = null;
      } catch (error) {
        this.error = error;
        this.#log(`the machine's state is not saved: ${error.message}`);
      }
    });
    return this.#saving;
  }
}
