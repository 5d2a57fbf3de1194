import type { Client } from 'pg';
import {
  appendRefreshSignal,
  type ChangeRow,
  selectChanges,
} from '../../lib/postgres/change.sql.js';
import { type QualifiedName, quoteQualifiedName } from '../../lib/postgres/identifier.js';
import type { SqlStatement } from '../../lib/postgres/sql-statement.js';

/** Refreshes views as the engine does: watermark and signature from before, written with the rows. */
export class ChangeDetector {
  constructor(
    private readonly session: Pick<Client, 'query'>,
    private readonly stateSchema: string,
  ) {}

  /** What the detector says of a view now. */
  async changes(view: QualifiedName): Promise<ChangeRow> {
    const { text, values } = selectChanges(this.stateSchema, view);
    const { rows } = await this.session.query<ChangeRow>(text, values);
    const [row] = rows;
    if (row === undefined) {
      throw new Error(`There is no state of ${view.name}`);
    }
    return row;
  }

  /** Notes what the view is about to see. To be followed by `commit`, whatever happens in between. */
  async begin(view: QualifiedName): Promise<{ signature: string | null; watermark: string }> {
    await this.session.query('BEGIN ISOLATION LEVEL READ COMMITTED');
    const { rows } = await this.session.query<{ watermark: string }>(
      'SELECT pg_current_snapshot()::text AS watermark',
    );
    const { signature } = await this.changes(view);
    return { signature, watermark: rows[0]?.watermark ?? '' };
  }

  async commit(
    view: QualifiedName,
    { signature, watermark }: { signature: string | null; watermark: string },
    how = '',
  ): Promise<void> {
    await this.session.query(`REFRESH MATERIALIZED VIEW ${how} ${quoteQualifiedName(view)}`);
    await this.run(appendRefreshSignal(this.stateSchema, view));
    await this.session.query(
      `UPDATE "${this.stateSchema}".view_state SET watermark = $1, source_signature = $2
       WHERE schema_name = $3 AND view_name = $4`,
      [watermark, signature, view.schema, view.name],
    );
    await this.session.query('COMMIT');
  }

  async refresh(view: QualifiedName): Promise<void> {
    await this.commit(view, await this.begin(view));
  }

  private async run({ text, values }: SqlStatement): Promise<void> {
    await this.session.query(text, values);
  }
}

/** Whether a materialized view has other rows than its query gives now. */
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
