/**
 * @file A queue in which clients take turns: one that sends a hundred queries does not make another
 * wait for all of them.
 */
export class FairQueue<T> {
  /** In the order of turns; a client without items is not in it. */
  readonly #clients = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(client: string, item: T): void {
    const items = this.#clients.get(client);
    if (items === undefined) {
      this.#clients.set(client, [item]);
    } else {
      items.push(item);
    }
    this.#size += 1;
  }

  /** Takes the next item that `accepts` lets through, of the client whose turn it is. */
  take(accepts: (item: T) => boolean): T | undefined {
    for (const [client, items] of this.#clients) {
      const index = items.findIndex(accepts);
      if (index >= 0) {
        const [item] = items.splice(index, 1);
        this.#size -= 1;
        // The client's next turn comes after everybody else's.
        this.#clients.delete(client);
        if (items.length > 0) {
          this.#clients.set(client, items);
        }
        return item;
      }
    }
    return undefined;
  }

  /** Takes an item out of its place; false when it is not there. */
  remove(client: string, item: T): boolean {
    const items = this.#clients.get(client) ?? [];
    const index = items.indexOf(item);
    if (index < 0) {
      return false;
    }
    items.splice(index, 1);
    this.#size -= 1;
    if (items.length === 0) {
      this.#clients.delete(client);
    }
    return true;
  }

  /** Empties the queue and returns what was in it. */
  drain(): T[] {
    const items = [...this.#clients.values()].flat();
    this.#clients.clear();
    this.#size = 0;
    return items;
  }
}
