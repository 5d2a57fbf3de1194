import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { rowName } from '../postgres/identifier.js';
import { type RoundRow, selectRounds } from '../postgres/rounds.sql.js';
import type { DueView } from './due.refresher.js';

/** How many refreshes may each write what triggers the next before that counts as a circle. */
const FREE_ROUNDS = 5;

/**
 * How long the first write of a circle waits for its refresh. Each further round waits twice as
 * long.
 */
const FIRST_HOLD_MS = 2_000;

const LONGEST_HOLD_MS = 600_000;

/**
 * How long a view in a circle is not checked again: a write from outside the circle waits no longer than
 * this.
 */
const ASK_AGAIN_MS = 2_000;

/** What a round of refreshes means for the view that it makes due. */
export interface DueRound {
  /** 0 if anything other than refreshes has written. */
  round: number;
  /** For how long the view is left alone. */
  holdMs: number;
}

const FREE: DueRound = { round: 0, holdMs: 0 };

/**
 * Slows down refreshes that write what they read, through a trigger or a function, alone or in a circle: each would lead to the
 * next without end. The rounds are counted in the database, so all processes slow down together. A refresh that follows one of a
 * view below, or any other write, is no such round.
 */
export class RefreshRounds {
  /** What has been warned about. */
  private readonly warned = new Set<string>();

  constructor(private readonly context: Pick<DataSourceContext, 'database' | 'log'>) {}

  /** What to do with each of the due views. */
  async read(
    due: readonly Pick<DueView, 'definition'>[],
  ): Promise<(view: ViewDefinition) => DueRound> {
    const { database } = this.context;
    if (due.length === 0) {
      return () => FREE;
    }
    const names = due.map(({ definition }) => definition.name);
    const rows = await database.bookkeeping((session) =>
      session.query<RoundRow>(selectRounds(database.stateSchema, names)),
    );
    const rounds = new Map(rows.map((row) => [rowName(row), this.roundOf(row)]));
    return (view) => rounds.get(viewName(view)) ?? FREE;
  }

  private roundOf(row: RoundRow): DueRound {
    const { round, is_written: isWritten, oldest, now } = row;
    const hold = isWritten ? holdMs(round) : 0;
    if (hold > 0) {
      this.warn(rowName(row));
    }
    return { round, holdMs: Math.min(Math.max(0, oldest + hold - now), ASK_AGAIN_MS) };
  }

  private warn(name: string): void {
    if (!this.warned.has(name)) {
      this.warned.add(name);
      this.context.log.warn(
        `Refreshes write what materialized view "${name}" reads, so each one triggers the next: a trigger (such as an event trigger) or a function writes during them. Until something else is written, the view is refreshed less and less often, finally every ${LONGEST_HOLD_MS / 60_000} minutes.`,
      );
    }
  }
}

/** How long the writes of a round wait, in milliseconds. */
export function holdMs(round: number): number {
  return round <= FREE_ROUNDS
    ? 0
    : Math.min(FIRST_HOLD_MS * 2 ** (round - FREE_ROUNDS - 1), LONGEST_HOLD_MS);
}
