interface SharedReading {
  answer: Promise<unknown>;
  /** From then on, by `performance.now()`, it is too old; `undefined` while it is under way. */
  endsAtMs?: number;
}

/** What pages read, once for all who ask for the same at about the same time. */
export class SharedReadings {
  private readonly readings = new Map<string, SharedReading>();

  /** An answer that came at most `maxAgeMs` ago, or is on its way; else a new one. A failure is not kept. */
  get<T>(key: string, maxAgeMs: number, read: () => Promise<T>): Promise<T> {
    this.forgetOld();
    const known = this.readings.get(key);
    if (known !== undefined) {
      return known.answer as Promise<T>;
    }
    const answer = read();
    const reading: SharedReading = { answer };
    this.readings.set(key, reading);
    answer.then(
      () => {
        reading.endsAtMs = performance.now() + maxAgeMs;
      },
      () => {
        reading.endsAtMs = -Infinity;
      },
    );
    return answer;
  }

  /** After something has been done, nobody is to see how it was before. */
  clear(): void {
    this.readings.clear();
  }

  private forgetOld(): void {
    const nowMs = performance.now();
    for (const [key, { endsAtMs = Infinity }] of this.readings) {
      if (endsAtMs <= nowMs) {
        this.readings.delete(key);
      }
    }
  }
}
