// Tells what the pointer looked at from what it only crossed on its way elsewhere. Pure: the caller gives the time.

/** A stay of this many milliseconds is a look, however long the stay before it was. */
const LOOK_MS = 300;
/** A pointer that left the last thing longer ago than this is not on its way from it. */
const ON_THE_WAY_MS = 1000;

/** Keeps the thing that the pointer looked at last, also after the pointer has left it. */
export class LastLookedAt<Thing> {
  readonly #same: (a: Thing | null, b: Thing | null) => boolean;
  #under: { thing: Thing; since: number } | null = null;
  #kept: { thing: Thing; stayed: number; left: number } | null = null;

  constructor(same: (a: Thing | null, b: Thing | null) => boolean) {
    this.#same = same;
  }

  /**
   * Takes what is under the pointer now, null for nothing, and the time in milliseconds; returns what was looked at
   * last. What was left after a stay shorter than the stay before was only crossed, and changes nothing.
   */
  pointAt(thing: Thing | null, now: number): Thing | null {
    if (this.#under !== null && this.#same(this.#under.thing, thing)) return this.#last();
    if (this.#under !== null) {
      const stayed = now - this.#under.since;
      const crossed =
        this.#kept !== null &&
        this.#under.since - this.#kept.left < ON_THE_WAY_MS &&
        stayed < Math.min(LOOK_MS, this.#kept.stayed);
      if (!crossed) this.#kept = { thing: this.#under.thing, stayed, left: now };
      else if (this.#kept !== null) this.#kept = { ...this.#kept, left: now };
    }
    this.#under = thing === null ? null : { thing, since: now };
    return this.#last();
  }

  #last(): Thing | null {
    return this.#kept?.thing ?? null;
  }
}
