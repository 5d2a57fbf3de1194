import { randomUUID } from 'node:crypto';
import { HOST } from '../postgres/history.sql.js';
import { askLease, type LeaseRow, type LeaseTimes, releaseLeases } from '../postgres/lease.sql.js';
import { errorCode, isRefusal, SqlState } from '../postgres/sqlstate.js';
import type { DataSourceContext } from './data-source.context.js';

/** The longest rest that is stored: after it, a process checks. */
const LONGEST_REST_MS = 86_400_000;

export interface LeaseRequest {
  name: string;
  /** For how long nothing will be due, as far as a holder knows. @default 0 */
  restMs?: number;
  /** Whether the connection that it took stays open. */
  isConnectionKept: (answer: LeaseRow) => boolean;
}

/** A lease in a row of the database. Of all processes that ask for it by the same name, one has it at a time. */
export class Lease {
  /** The process, and this lease in it. */
  private readonly asker = `${HOST}:${randomUUID().slice(0, 8)}`;
  private readonly sinceMs = performance.now();
  private mayHold = false;

  constructor(
    private readonly context: Pick<DataSourceContext, 'database'>,
    private readonly times: LeaseTimes,
  ) {}

  /**
   * Whether the server refuses the request: there is no lease table yet, or this role may not write to it. Waiting would not
   * help, so the process does the work as if it were alone. The lease only saves duplicate work.
   */
  static isRefused(error: unknown): boolean {
    return isRefusal(error) || errorCode(error) === SqlState.readOnlyTransaction;
  }

  /** Takes or renews the lease if no other process has it. */
  async ask({ name, restMs = 0, isConnectionKept }: LeaseRequest): Promise<LeaseRow> {
    const { database } = this.context;
    const question = {
      ...this.times,
      name,
      asker: this.asker,
      askerAgeMs: performance.now() - this.sinceMs,
      restMs: Math.min(restMs, LONGEST_REST_MS),
    };
    this.mayHold = true;
    const [answer] = await database.single<LeaseRow>(
      askLease(database.stateSchema, question),
      ([row]) => row !== undefined && isConnectionKept(row),
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
