import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { rowName } from '../postgres/identifier.js';
import { type RoundRow, selectRounds } from '../postgres/rounds.sql.js';
import type { DueView } from './due.refresher.js';

/** So many refreshes that each wrote what the next one was made for are no circle yet. */
const FREE_ROUNDS = 5;

/** How long the first write of a circle waits for its refresh; each further round twice as long. */
const FIRST_HOLD_MS = 2_000;

const LONGEST_HOLD_MS = 600_000;

/** For how long a view is not asked about again: a write from outside the circle waits no longer for that. */
const ASK_AGAIN_MS = 2_000;

/** What a round of refreshes means for the view that is due by it. */
export interface DueRound {
  /** 0 where something else than refreshes has written. */
  round: number;
  /** For how long the view is left alone. */
  holdMs: number;
}

const FREE: DueRound = { round: 0, holdMs: 0 };

/**
 * Slows down refreshes that write what they read, by a trigger or a function, by themselves or in a circle: each would lead to the
 * next without end. What counts is in the database, so all processes of a cluster slow down together. A refresh that follows one
 * of a view below, or a write of anybody's, is no such round.
 */
export class RefreshRounds {
  /** Of what has been warned. */
  private readonly warned = new Set<string>();

  constructor(private readonly context: Pick<DataSourceContext, 'database' | 'log'>) {}

  /** What to make of each of the views that are due. */
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

/** How long what a round has written waits, in milliseconds. */
export function holdMs(round: number): number {
  return round <= FREE_ROUNDS
    ? 0
    : Math.min(FIRST_HOLD_MS * 2 ** (round - FREE_ROUNDS - 1), LONGEST_HOLD_MS);
}
