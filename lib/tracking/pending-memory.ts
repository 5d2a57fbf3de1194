import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { rowName } from '../postgres/identifier.js';
import { type LookRow, selectLook } from '../postgres/look.sql.js';
import { type PendingReachRow, selectPending } from '../postgres/pending.sql.js';
import type { Session } from '../postgres/session.js';
import { type PendingChanges, pendingChanges } from './pending-changes.js';
import { Versions } from './versions.js';

/** How long an answer is valid at most. No version shows, for example, rows that somebody copies into the log by hand. */
const BELIEVED_MS = 200_000;

/** The random part of that, so that not all answers expire at the same poll. */
const SPREAD = 0.5;

/** The result of one poll for several views. */
export interface PendingRead {
  /** Those that exist, have a state, and are neither paused nor backing off. */
  views: PendingChanges[];
  /** How long the poll took the server, in milliseconds. */
  tookMs: number;
}

interface Answer {
  pending: PendingChanges;
  row: Pick<PendingReachRow, 'oid' | 'is_made_by_users'>;
  /** The OIDs of what the view reads. */
  relations: readonly string[];
  /** The version of the view's state row. */
  state: string;
  /** By `performance.now()`. */
  believedUntilMs: number;
}

type Answers = ReadonlyMap<ViewDefinition, Answer>;

/**
 * Polls for the pending changes of the same views. It remembers each answer and asks again only about views whose answer
 * may have changed: a version of something that it depends on differs, or the log has new rows. Versions are read before
 * answers, so if something changes in between, the next poll asks again.
 */
export class PendingMemory {
  private answers: Answers = new Map();
  private last?: Versions;

  constructor(
    private readonly stateSchema: string,
    private readonly definitions: readonly ViewDefinition[],
  ) {}

  /** Must run in a READ COMMITTED transaction. */
  async look(session: Pick<Session, 'query'>): Promise<PendingRead> {
    const known = [...this.answers.values()];
    const viewOids = known.map(({ row }) => row.oid);
    const relations = [...new Set(known.flatMap((answer) => answer.relations))];
    const [row] = await session.query<LookRow>(
      selectLook(this.stateSchema, {
        views: this.definitions.map(({ name }) => name),
        viewOids,
        relations,
        since: this.last?.snapshot ?? null,
        isMadeByUsersWanted: known.some((answer) => answer.row.is_made_by_users),
      }),
    );
    if (row === undefined) {
      throw new Error('The look gave no answer');
    }
    const versions = new Versions(row, this.definitions, [...viewOids, ...relations]);
    const open = this.definitions.filter((view) => versions.stateOf(view) !== undefined);
    const held = this.answersThatHold(open, versions);
    const asked = open.filter((view) => !held.has(view));
    const found = await this.ask(session, asked);
    const remembered = [...found].flatMap(([view, each]) =>
      rememberable(each, versions.stateOf(view)).map((answer) => [view, answer] as const),
    );
    this.answers = new Map([...held, ...remembered]);
    this.last = versions;
    return {
      views: open.flatMap((view) => {
        const answer = held.get(view);
        const pending = answer ? { ...answer.pending, now: row.now } : found.get(view)?.pending;
        return pending === undefined ? [] : [pending];
      }),
      tookMs:
        row.took_ms + Math.max(0, ...[...found.values()].map(({ row: { took_ms } }) => took_ms)),
    };
  }

  private answersThatHold(open: readonly ViewDefinition[], versions: Versions): Answers {
    const { last } = this;
    if (last === undefined || !versions.areComparableTo(last)) {
      return new Map();
    }
    const changed = versions.changedSince(last);
    const isMadeTheSame = versions.haveSameMade(last);
    const nowMs = performance.now();
    const holds = (
      { row, relations, state, believedUntilMs }: Answer,
      view: ViewDefinition,
    ): boolean =>
      state === versions.stateOf(view) &&
      nowMs < believedUntilMs &&
      (isMadeTheSame || !row.is_made_by_users) &&
      (changed.size === 0 || ![row.oid, ...relations].some((oid) => changed.has(oid)));
    return new Map(
      open.flatMap((view) => {
        const answer = this.answers.get(view);
        return answer !== undefined && holds(answer, view) ? [[view, answer] as const] : [];
      }),
    );
  }

  private async ask(
    session: Pick<Session, 'query'>,
    views: readonly ViewDefinition[],
  ): Promise<Map<ViewDefinition, { row: PendingReachRow; pending: PendingChanges }>> {
    if (views.length === 0) {
      return new Map();
    }
    const byName = new Map(views.map((view) => [viewName(view), view]));
    const names = views.map(({ name }) => name);
    const rows = await session.query<PendingReachRow>(
      selectPending(this.stateSchema, names, { hasReach: true }),
    );
    return new Map(
      rows.flatMap((row) => {
        const view = byName.get(rowName(row));
        return view === undefined ? [] : [[view, { row, pending: pendingChanges(view, row) }]];
      }),
    );
  }
}

function rememberable(
  { row, pending }: { row: PendingReachRow; pending: PendingChanges },
  state: string | undefined,
): Answer[] {
  const { oid, is_made_by_users, relations } = row;
  if (!row.is_lasting || relations === null || state === undefined) {
    return [];
  }
  const believedUntilMs = performance.now() + BELIEVED_MS * (1 + SPREAD * (Math.random() * 2 - 1));
  return [{ pending, row: { oid, is_made_by_users }, relations, state, believedUntilMs }];
}
