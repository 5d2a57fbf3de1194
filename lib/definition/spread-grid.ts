import { createHash } from 'node:crypto';
import type { TickGrid } from './cron-grid.js';

/** The maximum delay of a tick after its time, however rare ticks are. */
const WIDEST_SECONDS = 3_600;

/**
 * The ticks of one of many schemas: each comes after the tick of the cron expression, by a part of the time to the next
 * one. The schema's name determines the part. So it is the same in every process, views of one schema stay together, and
 * those of many schemas don't all come at once. Pure.
 */
export class SpreadGrid implements TickGrid {
  private readonly share: number;

  constructor(
    private readonly grid: TickGrid,
    schema: string,
  ) {
    this.share = createHash('sha256').update(schema).digest().readUInt32BE() / 2 ** 32;
  }

  lastTickAt(instant: Date): Date | undefined {
    const last = this.grid.lastTickAt(instant);
    const tick = this.moved(last);
    return tick === undefined || last === undefined || tick <= instant
      ? tick
      : this.moved(this.grid.lastTickAt(new Date(last.getTime() - 1)));
  }

  nextTickAfter(instant: Date): Date | undefined {
    const last = this.moved(this.grid.lastTickAt(instant));
    return last !== undefined && last > instant
      ? last
      : this.moved(this.grid.nextTickAfter(instant));
  }

  /** By whole seconds, and always before the next one. */
  private moved(tick: Date | undefined): Date | undefined {
    if (tick === undefined) {
      return undefined;
    }
    const next = this.grid.nextTickAfter(tick);
    const gapSeconds = next ? (next.getTime() - tick.getTime()) / 1_000 : WIDEST_SECONDS;
    const seconds = Math.floor(this.share * Math.min(gapSeconds, WIDEST_SECONDS));
    return new Date(tick.getTime() + seconds * 1_000);
  }
}
