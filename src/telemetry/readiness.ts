/**
 * @file Whether the server is ready: set as it starts and stops, asked by health checks.
 */
export type ReadyState = 'starting' | 'ready' | 'stopping';

export class Readiness {
  #state: ReadyState = 'starting';
  readonly #listeners = new Set<(state: ReadyState) => void>();

  get state(): ReadyState {
    return this.#state;
  }

  change(state: ReadyState): void {
    this.#state = state;
    for (const listener of this.#listeners) {
      listener(state);
    }
  }

  /** Calls `listener` at every change until the returned function is called. */
  watch(listener: (state: ReadyState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
