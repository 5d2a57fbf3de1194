import type { ViewDefinition } from '../definition/view-definition.js';
import { rootsOfDefinition } from '../freshness/capture-needs.js';
import type { UnseenChanges } from '../freshness/write-policy.js';
import type { Database } from '../postgres/database.js';
import { displayName, rowName } from '../postgres/identifier.js';
import { type PendingViewRow, selectPendingViews } from '../postgres/pending.sql.js';
import type { Session } from '../postgres/session.js';
import { obstacleReasons, type ObstacleRow, selectObstacles } from '../postgres/source.sql.js';

/** What a view has not seen, and what stands in the way of refreshing it. */
export interface ViewChanges {
  definition: ViewDefinition;
  unseen: UnseenChanges;
  isWatched: boolean;
  rowsSince: number | null;
  signature: string | null;
  isPaused: boolean;
  isBackingOff: boolean;
}

/** Reads what the views of one data source have not seen: one statement, however many there are. */
export class ChangeReading {
  /** By view: the last signature that was as good as the remembered one. */
  private readonly settled = new Map<ViewDefinition, string | null>();
  /** By view: the last signature that nothing could be told from, though the sources are captured. */
  private readonly obstructed = new Map<ViewDefinition, string>();

  constructor(
    private readonly database: Database,
    private readonly definitions: readonly ViewDefinition[],
  ) {}

  async read(): Promise<ViewChanges[]> {
    const { stateSchema } = this.database;
    const byName = new Map(this.definitions.map((view) => [displayName(view.name), view]));
    return this.database.bookkeeping(async (session) => {
      const names = this.definitions.map(({ name }) => name);
      const rows = await session.query<PendingViewRow>(selectPendingViews(stateSchema, names));
      const changes: ViewChanges[] = [];
      for (const row of rows) {
        const definition = byName.get(rowName(row));
        if (definition !== undefined) {
          changes.push(await this.changesOf(definition, row, session));
        }
      }
      return changes;
    });
  }

  /**
   * Notes that the view was found unchanged under its lock after it was read here. A refresh may compute the
   * signature with other settings (`refresh.settings`), and its word counts.
   */
  settle({ definition, signature }: Pick<ViewChanges, 'definition' | 'signature'>): void {
    this.settled.set(definition, signature);
  }

  private async changesOf(
    definition: ViewDefinition,
    row: PendingViewRow,
    session: Session,
  ): Promise<ViewChanges> {
    const { remembered_signature: remembered, signature } = row;
    const isSettled =
      signature === remembered ||
      (signature !== null && this.settled.get(definition) === signature);
    const isAltered =
      !row.has_watermark || (!isSettled && !(await this.isObstructed(definition, row, session)));
    return {
      definition,
      unseen: {
        now: row.now,
        since: row.pending_since,
        lastAt: row.last_change_at,
        isAltered,
      },
      isWatched: signature !== null && remembered !== null,
      rowsSince: row.has_watermark ? row.last_started_at : null,
      signature,
      isPaused: row.is_paused,
      isBackingOff: row.is_backing_off,
    };
  }

  /** Nothing is remembered of a view that calls `now()`, for one: its signature says nothing, ever. */
  private async isObstructed(
    definition: ViewDefinition,
    { remembered_signature: remembered, signature }: PendingViewRow,
    session: Session,
  ): Promise<boolean> {
    if (remembered !== null || signature === null) {
      return false;
    }
    if (this.obstructed.get(definition) !== signature) {
      const { stateSchema } = this.database;
      const roots = rootsOfDefinition(definition);
      const reasons = obstacleReasons(definition.freshness?.skipsUnchanged ?? false);
      const obstacles = await session.query<ObstacleRow>(selectObstacles(stateSchema, roots, []));
      if (!obstacles.some(({ reason }) => reasons.includes(reason))) {
        return false;
      }
      this.obstructed.set(definition, signature);
    }
    return true;
  }
}
