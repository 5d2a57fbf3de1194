/** What is read once for all who ask at about the same time. */
export class SharedReading<T> {
  private underWay: Promise<T> | undefined;
  private last: { answer: T; readAtMs: number } | undefined;

  /** An answer that came at most `maxAgeMs` ago, else that of the reading under way, else that of a new one. A failure is not kept. */
  async get(maxAgeMs: number, read: () => Promise<T>): Promise<T> {
    const { last } = this;
    if (last !== undefined && performance.now() - last.readAtMs <= maxAgeMs) {
      return last.answer;
    }
    this.underWay ??= this.begin(read);
    return this.underWay;
  }

  /** Whether it can be forgotten: it has no answer that came at most so long ago, and waits for none. */
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
