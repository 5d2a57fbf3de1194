import { SharedReading } from '../engine/shared-reading.js';

/** What pages read, once for all who ask for the same at about the same time. */
export class SharedReadings {
  private readonly readings = new Map<
    string,
    { reading: SharedReading<unknown>; maxAgeMs: number }
  >();

  /** An answer that came at most `maxAgeMs` ago, or is on its way; else a new one. A failure is not kept. */
  get<T>(key: string, maxAgeMs: number, read: () => Promise<T>): Promise<T> {
    this.forgetOld();
    const known = this.readings.get(key)?.reading as SharedReading<T> | undefined;
    const reading = known ?? new SharedReading<T>();
    this.readings.set(key, { reading, maxAgeMs });
    return reading.get(maxAgeMs, read);
  }

  /** After something has been done, nobody is to see how it was before. */
  clear(): void {
    this.readings.clear();
  }

  /** A client can ask for as many different pages of runs as it likes. */
  private forgetOld(): void {
    for (const [key, { reading, maxAgeMs }] of this.readings) {
      if (reading.isOver(maxAgeMs)) {
        this.readings.delete(key);
      }
    }
  }
}
