const RealDate = Date;
let offsetMs = 0;

/** From now on, this process's clock, and every timer that uses it, is off by this much. */
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
