import type { Client } from 'pg';
import { type QualifiedName, quoteQualifiedName } from '../../lib/postgres/identifier.js';
import { ChangeDetector, isStale } from './change-detector.js';
import { isRefusal, type Tally } from './order-writer.js';

/** What the detector says, and what the rows say, at one moment. */
export interface Observation {
  isUnchanged: boolean;
  isStale: boolean;
}

/** Reads single moments of a database in which others write and refresh. */
export class FreshnessObserver {
  private readonly detector: ChangeDetector;

  constructor(
    private readonly session: Client,
    stateSchema: string,
    private readonly view: QualifiedName,
    private readonly tally: Tally,
  ) {
    this.detector = new ChangeDetector(session, stateSchema);
  }

  /** One moment; `undefined` where it could not be seen whole. */
  async observe(): Promise<Observation | undefined> {
    try {
      await this.session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      // TRUNCATE and changes of partitions do not keep to snapshots. Rows are written all the same.
      await this.session.query('LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE');
      const observation = (await this.hasRowsOfSnapshot()) ? await this.look() : undefined;
      await this.session.query('COMMIT');
      this.tally.add(observation === undefined ? 'not seen' : answerOf(observation));
      return observation;
    } catch (error) {
      await this.session.query('ROLLBACK');
      if (!isRefusal(error)) {
        throw error;
      }
      this.tally.add('not seen');
      return undefined;
    }
  }

  private async look(): Promise<Observation> {
    const { is_unchanged: isUnchanged } = await this.detector.changes(this.view);
    return { isUnchanged: isUnchanged === true, isStale: await isStale(this.session, this.view) };
  }

  /**
   * Whether the snapshot's view is the one that is read: who replaces the rows as a whole, as a
   * refresh that is not concurrent and a swap do, shows them to older snapshots too. From here on nobody does.
   */
  private async hasRowsOfSnapshot(): Promise<boolean> {
    const name = quoteQualifiedName(this.view);
    await this.session.query(`SELECT FROM ${name} LIMIT 0`);
    const { rows } = await this.session.query<{ same: boolean }>(
      `SELECT c.relfilenode = pg_relation_filenode($1::regclass) AS same
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $2 AND c.relname = $3`,
      [name, this.view.schema, this.view.name],
    );
    return rows[0]?.same === true;
  }
}

/** `needless`: it reports a change although the rows match the query. */
function answerOf({ isUnchanged, isStale }: Observation): string {
  if (isUnchanged) {
    return isStale ? 'missed' : 'unchanged';
  }
  return isStale ? 'changed' : 'needless';
}
