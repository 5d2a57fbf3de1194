/** A reading shared by all callers at about the same time. */
export class SharedReading<T> {
  private underWay: Promise<T> | undefined;
  private last: { answer: T; readAtMs: number } | undefined;

  /** An answer at most `maxAgeMs` old, otherwise that of the running reading, otherwise that of a new one. A failure is not kept. */
  async get(maxAgeMs: number, read: () => Promise<T>): Promise<T> {
    const { last } = this;
    if (last !== undefined && performance.now() - last.readAtMs <= maxAgeMs) {
      return last.answer;
    }
    this.underWay ??= this.begin(read);
    return this.underWay;
  }

  /** Whether it can be dropped: it has no answer that is recent enough, and waits for none. */
  isOver(ageMs: number): boolean {
    const { last, underWay } = this;
    return (
      underWay === undefined && (last === undefined || performance.now() - last.readAtMs > ageMs)
    );
  }

  private async begin(read: () => Promise<T>): Promise<T> {
    try {
      const answer = await read();
      this.last = { answer, readAtMs: performance.now() };
      return answer;
    } finally {
      this.underWay = undefined;
    }
  }
}
