import type { Client } from 'pg';
import { type QualifiedName, quoteQualifiedName } from '../../lib/postgres/identifier.js';
import { ChangeDetector, isStale } from './change-detector.js';
import { isRefusal, type Tally } from './order-writer.js';

/** What the detector reports and what the rows show, in one snapshot. */
export interface Observation {
  isUnchanged: boolean;
  isStale: boolean;
}

/** Observes single snapshots of a database while other sessions write and refresh. */
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

  /** Returns `undefined` if the snapshot could not be read consistently. */
  async observe(): Promise<Observation | undefined> {
    try {
      await this.session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      // Blocks TRUNCATE and partition changes, which are not MVCC-safe. Other writes go on.
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
   * Whether the view still has the rows of this snapshot. A blocking refresh and a swap replace the view's file, and older
   * snapshots then read the new one. The SELECT's lock prevents that from here on.
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

/** `needless`: the detector reports a change, but the rows match the query. */
function answerOf({ isUnchanged, isStale }: Observation): string {
  if (isUnchanged) {
    return isStale ? 'missed' : 'unchanged';
  }
  return isStale ? 'changed' : 'needless';
}
