import { randomUUID } from 'node:crypto';
import type { Client, QueryResultRow } from 'pg';
import type { ViewDefinition } from '../../lib/definition/view-definition.js';
import { recordSuccess } from '../../lib/postgres/history.sql.js';
import { type QualifiedName, quoteQualifiedName } from '../../lib/postgres/identifier.js';
import { type PendingRow, selectPending } from '../../lib/postgres/pending.sql.js';
import {
  type RefreshPreconditionRow,
  selectRefreshPreconditions,
} from '../../lib/postgres/refresh.sql.js';
import type { SqlStatement } from '../../lib/postgres/sql-statement.js';
import { PendingMemory } from '../../lib/tracking/pending-memory.js';
import { checkLook } from './look-check.js';

interface Seen {
  signature: string | null;
  snapshot: string;
}

/** Refreshes views with the engine's statements, one at a time, so that a test can act between them. */
export class ChangeDetector {
  private readonly memories = new Map<
    string,
    { memory: PendingMemory; definition: ViewDefinition }
  >();
  private readonly asked = {
    query: async <Row extends QueryResultRow>({ text, values }: SqlStatement): Promise<Row[]> =>
      (await this.session.query<Row>(text, values)).rows,
  };

  constructor(
    private readonly session: Pick<Client, 'query'>,
    private readonly stateSchema: string,
  ) {}

  /** A view's pending changes now. Checks that polling finds the same. */
  async changes(view: QualifiedName): Promise<PendingRow> {
    const key = quoteQualifiedName(view);
    const definition = { name: view } as ViewDefinition;
    const known = this.memories.get(key) ?? {
      memory: new PendingMemory(this.stateSchema, [definition]),
      definition,
    };
    this.memories.set(key, known);
    await checkLook(this.asked, known.memory, this.stateSchema, [known.definition]);
    return this.run<PendingRow>(selectPending(this.stateSchema, [view]));
  }

  /** Begins a refresh, and reads the snapshot and signature that it will record. `commit` must follow. */
  async begin(view: QualifiedName): Promise<Seen> {
    await this.session.query('BEGIN ISOLATION LEVEL READ COMMITTED');
    const { snapshot } = await this.run<RefreshPreconditionRow>(
      selectRefreshPreconditions(this.stateSchema, view),
    );
    const { signature } = await this.changes(view);
    return { signature, snapshot };
  }

  async commit(view: QualifiedName, seen: Seen): Promise<void> {
    await this.session.query(`REFRESH MATERIALIZED VIEW ${quoteQualifiedName(view)}`);
    await this.run(
      recordSuccess(this.stateSchema, {
        runId: randomUUID(),
        view,
        trigger: 'demand',
        attempt: 1,
        startedAt: Date.now(),
        mode: 'blocking',
        modeReason: 'requested',
        ...seen,
      }),
    );
    await this.session.query('COMMIT');
  }

  async refresh(view: QualifiedName): Promise<void> {
    await this.commit(view, await this.begin(view));
  }

  private async run<Row extends QueryResultRow>({ text, values }: SqlStatement): Promise<Row> {
    const { rows } = await this.session.query<Row>(text, values);
    const [row] = rows;
    if (row === undefined) {
      throw new Error(`Expected a row from: ${text}`);
    }
    return row;
  }
}

/** Whether a materialized view's rows differ from what its query returns now. */
export async function isStale(
  session: Pick<Client, 'query'>,
  view: QualifiedName,
): Promise<boolean> {
  const name = quoteQualifiedName(view);
  const { rows: definitions } = await session.query<{ definition: string }>(
    `SELECT pg_get_viewdef($1::regclass) AS definition`,
    [name],
  );
  const query = definitions[0]?.definition.replace(/;$/, '');
  const { rows } = await session.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM (
       (TABLE ${name} EXCEPT ALL (${query})) UNION ALL ((${query}) EXCEPT ALL TABLE ${name})
     ) AS d`,
  );
  return rows[0]?.count !== 0;
}
