/** What a view watches: a value, and those to tell when it changes. */

export class Signal {
  #value;
  #watchers = new Set();

  constructor(value) {
    this.#value = value;
  }

  get value() {
    return this.#value;
  }

  set value(value) {
    this.#value = value;
    this.notify();
  }

  /** Tell the watchers, after the value was changed in place. */
  notify() {
    for (const watcher of [...this.#watchers]) watcher(this.#value);
  }

  /** Call `watcher` now and after every change; the result ends that. */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher(this.#value);
    return () => this.#watchers.delete(watcher);
  }
}

/** A signal that outlives the page, in the browser's own storage. */
export class StoredSignal extends Signal {
  constructor(key, fallback) {
    super(read(key) ?? fallback);
    this.watch((value) => write(key, value));
  }
}

/** What is stored under `key`, or null; text that is not JSON counts as nothing. */
export function read(key) {
  try {
    return JSON.parse(localStorage.getItem(`steersman.${key}`));
  } catch {
    return null;
  }
}

/** Store `value` as JSON; false when the browser has no room or forbids it. */
export function write(key, value) {
  try {
    localStorage.setItem(`steersman.${key}`, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Forget `key`. */
export function forget(key) {
  localStorage.removeItem(`steersman.${key}`);
}

/** The keys under which something is stored that start with `prefix`. */
export function keys(prefix) {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(`steersman.${prefix}`))
    .map((key) => key.slice("steersman.".length));
}
