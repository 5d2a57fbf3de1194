const RealDate = Date;
let offsetMs = 0;

/** Shifts this process's `Date` from now on, and with it everything that computes times from it. */
export function shiftClock(byMs: number): void {
  offsetMs = byMs;
  globalThis.Date = class extends RealDate {
    constructor(...args: unknown[]) {
      super(...((args.length === 0 ? [RealDate.now() + offsetMs] : args) as [number]));
    }
    static override now(): number {
      return RealDate.now() + offsetMs;
    }
  } as DateConstructor;
}
