import { randomUUID } from 'node:crypto';
import type { DataSourceContext } from '../definition/data-source.context.js';
import { HOST } from '../postgres/history.sql.js';
import { askLease, type LeaseRow, releaseLeases } from '../postgres/lease.sql.js';

/** How often the holder renews its lease. */
export const RENEWAL_MS = 2_000;

/** The time between the turns of the other processes. */
const SLOT_MS = 3_000;

const TIMES = {
  /** Two renewals may fail. */
  heldMs: 3 * RENEWAL_MS,
  slotMs: SLOT_MS,
  /**
   * If most of many processes die at once, the others ask after this time at the latest. Connecting is what costs: 500
   * processes ask 100 times a minute in all, and 50 of them 20 times.
   */
  longestTurnMs: 300_000,
};

/** The longest rest that is stored: after it, a process checks. */
const LONGEST_REST_MS = 86_400_000;

/** A lease in a row of the database. Of all processes that ask for it by the same name, one has it at a time. */
export class Lease {
  /** The process, and this data source in it. */
  private readonly asker = `${HOST}:${randomUUID().slice(0, 8)}`;
  private readonly sinceMs = performance.now();
  private mayHold = false;

  constructor(private readonly context: Pick<DataSourceContext, 'database'>) {}

  /**
   * Takes or renews the lease if no other process has it. A process that doesn't get it keeps no
   * connection.
   *
   * @param restMs for how long nothing will be due, as far as a holder knows
   */
  async ask(name: string, restMs: number): Promise<LeaseRow> {
    const { database } = this.context;
    const question = {
      ...TIMES,
      name,
      asker: this.asker,
      askerAgeMs: performance.now() - this.sinceMs,
      restMs: Math.min(restMs, LONGEST_REST_MS),
    };
    this.mayHold = true;
    const [answer] = await database.single<LeaseRow>(
      askLease(database.stateSchema, question),
      ([row]) => row?.is_holder === true && restMs <= RENEWAL_MS,
    );
    if (answer === undefined) {
      throw new Error('The lease gave no answer');
    }
    this.mayHold = answer.is_holder;
    return answer;
  }

  /**
   * Lets another process have it at once. Never throws: otherwise another process gets it within
   * seconds.
   */
  async release(): Promise<void> {
    if (this.mayHold) {
      const { database } = this.context;
      const statement = releaseLeases(database.stateSchema, this.asker);
      await database.bookkeeping((session) => session.query(statement)).catch(() => undefined);
    }
  }
}
