import { SharedReading } from '../engine/shared-reading.js';

/** What pages read, shared by all requests for the same at about the same time. */
export class SharedReadings {
  private readonly readings = new Map<
    string,
    { reading: SharedReading<unknown>; maxAgeMs: number }
  >();

  /** An answer at most `maxAgeMs` old or being read, otherwise a new one. A failure is not kept. */
  get<T>(key: string, maxAgeMs: number, read: () => Promise<T>): Promise<T> {
    this.forgetOld();
    const known = this.readings.get(key)?.reading as SharedReading<T> | undefined;
    const reading = known ?? new SharedReading<T>();
    this.readings.set(key, { reading, maxAgeMs });
    return reading.get(maxAgeMs, read);
  }

  /** After an action, no page may show the old state. */
  clear(): void {
    this.readings.clear();
  }

  /** A client can request any number of different pages of runs. */
  private forgetOld(): void {
    for (const [key, { reading, maxAgeMs }] of this.readings) {
      if (reading.isOver(maxAgeMs)) {
        this.readings.delete(key);
      }
    }
  }
}
